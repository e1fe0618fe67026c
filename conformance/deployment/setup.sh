#!/usr/bin/env bash
# @ABOUT@
set -eu
apt-get update
apt-get install --yes --no-install-recommends python3 python3-venv gcc libc6-dev make
python3 -m venv /opt/conformance
wheels=(/autograder/source/*.whl)  # a wheel in the same archive is preferred
if [ -e "${wheels[0]}" ]; then
  /opt/conformance/bin/pip install --quiet "${wheels[0]}"
else
  /opt/conformance/bin/pip install --quiet @INSTALL@
fi
