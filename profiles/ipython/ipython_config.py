"""A classic IPython profile directory: `ipython --profile-dir profiles/ipython` is `rdaq shell`.

Profile and data directory come from $RDAQ_PROFILE and $RDAQ_DATA.
"""

c = get_config()  # noqa: F821 IPython gives it
c.InteractiveShellApp.extensions = ["rdaq_ophyd.ipython"]
c.TerminalIPythonApp.display_banner = False
