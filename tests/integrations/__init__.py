"""Programs of others that read hftp:// URLs: in an environment of their own, `tox run -e integrations`."""
