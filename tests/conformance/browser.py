"""Open a page in a headless Chromium, run a script in it, and return what that finds."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
AXE: Final = "axe-core@4"
AUDIT: Final = """
for (const folded of document.querySelectorAll("details")) folded.open = true;
const found = await axe.run(document);
return found.violations.map((rule) => [rule.id, ...rule.nodes.map((node) => node.html)]);
"""
"""What axe-core finds when everything is open: the id of each rule, and the elements."""
_RESULT: Final = re.compile(r'<pre id="found-by-test">(.*?)</pre>', re.DOTALL)
_POLICY: Final = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
_RUN: Final = """
addEventListener("load", async () => {
  try { parent.postMessage(JSON.stringify(await (async () => { %s })()), "*"); }
  catch (error) { parent.postMessage(JSON.stringify(String(error)), "*"); }
});
"""
_FRAME: Final = """<!DOCTYPE html><body style="margin: 0"><script>
addEventListener("message", (event) => {
  const place = document.createElement("pre");
  place.id = "found-by-test";
  place.textContent = event.data;
  document.body.append(place);
});
</script><iframe src="inner.html%s" style="border: 0; width: %dpx; height: 1000px"></iframe>"""
"""A window is never narrower than 500 pixels, a frame is."""


def browser() -> str:
    """Return the path of a browser; skip the test if there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser on this machine: {', '.join(BROWSERS)}")
    return found


def axe(directory: Path) -> str:
    """Return the source of axe-core: the file that AXE_CORE names, or from npm; skip the test if there is neither."""
    if given := os.environ.get("AXE_CORE"):
        return Path(given).read_text(encoding="utf-8")
    kept = directory / "package" / "axe.min.js"
    if not kept.exists():
        if shutil.which("npm") is None:
            pytest.skip("no axe-core on this machine: AXE_CORE names no file, and there is no npm")
        done = subprocess.run(
            ["npm", "pack", "--silent", AXE], cwd=directory, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            pytest.skip("no axe-core on this machine: AXE_CORE names no file, and npm cannot fetch it")
        archive = directory / done.stdout.split()[-1]
        shutil.unpack_archive(archive, directory, filter="data")
        archive.unlink()
    return kept.read_text(encoding="utf-8")


def run_in_page(  # noqa: PLR0913  (a page and how it is shown)
    page: str,
    script: str,
    directory: Path,
    *,
    width: int = 1400,
    is_dark: bool = False,
    library: str = "",
    fragment: str = "",
) -> Any:  # noqa: ANN401  (whatever the script returns)
    """Return what the body of an async function returns in a page that is `width` pixels wide, after a `library`."""
    added = f"<script>{library}</script><script>{_RUN % script}</script></body>"
    head, _, tail = _POLICY.sub("", page).rpartition("</body>")
    (directory / "inner.html").write_text(f"{head}{added}{tail}", encoding="utf-8")
    (directory / "frame.html").write_text(_FRAME % (fragment, width), encoding="utf-8")
    done = subprocess.run(
        [
            *(browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--dump-dom"),
            *(f"--user-data-dir={directory / 'profile'}", f"--window-size={width + 100},1100"),
            *("--virtual-time-budget=20000", *(["--blink-settings=preferredColorScheme=0"] if is_dark else [])),
            (directory / "frame.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    found = _RESULT.search(done.stdout)
    assert found is not None, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))
