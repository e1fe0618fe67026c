"""One line at the bottom of the terminal while a run goes on: how far it is, failures so far, and what it waits for."""

from collections import Counter
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from conformance.language import Message, gettext
from conformance.model.activity import Activity
from conformance.model.verdicts import MEANINGS, Verdict
from conformance.printable import printable

LONG_SECONDS: Final = 1.0
"""What is waited for is told if the wait lasts longer."""
_REFRESHES: Final = 4
"""How often a second the line is drawn."""


_COUNTED: Final = {
    Verdict.FAIL: Message("{count} failed"),
    Verdict.WARN: Message("{count} warned"),
    Verdict.ERROR: Message("{count} errors"),
}


class StatusLine:
    """Counts the results of a run, and shows itself on a terminal between `start` and `stop`; nothing elsewhere."""

    def __init__(self, console: Console, activity: Activity) -> None:
        self._console = console
        self._activity = activity
        self._live: Live | None = None
        self.total = 0
        self._verdicts: Counter[Verdict] = Counter()

    def start(self) -> None:
        """Show the line, if the output is a terminal."""
        console = self._console
        if self._live is None and console.is_interactive and not console.is_dumb_terminal and console.file.isatty():
            self._live = Live(self, console=console, transient=True, refresh_per_second=_REFRESHES)
            self._live.start()

    def stop(self) -> None:
        """Remove the line; a second call does nothing."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def count(self, verdict: Verdict, *, is_known: bool) -> None:
        """Count a result."""
        self._verdicts[Verdict.INFO if is_known else verdict] += 1

    def __rich__(self) -> Text:
        line = Text(no_wrap=True, overflow="ellipsis")
        if self.total:
            done = max(self._verdicts.total(), len(self._activity.played))
            line.append(gettext("{done} of {total}", done=min(done, self.total), total=self.total), "bold")
            for verdict, word in _COUNTED.items():
                if count := self._verdicts[verdict]:
                    line.append(f", {gettext(word, count=count)}", MEANINGS[verdict].style)
        wait = self._activity.longest()
        if wait is not None and wait.seconds > LONG_SECONDS:
            line.append("; " if line else "")
            said = gettext("waiting {seconds} s for {what}", seconds=int(wait.seconds), what=wait.what)
            line.append(printable(said), "yellow")
        return line
