"""Example of custom scenarios: what this school requires beyond the protocol."""

from conformance import Chapter, ScenarioContext

chapter = Chapter()

chapter.transcript(
    "school.sizes-in-order",
    "HFTP-1.6",
    "Two sizes that are asked for together come in order",
    """
    C: get_metadata {text}
    C: get_metadata {empty}
    S: 0 *
    S: {text.size}
    S: 0 *
    S: {empty.size}
    <in step>
    """,
)


@chapter.play("school.many-readers", "HFTP-10.1", "Ten readers get the same slice", needs=["concurrency", "text"])
def many_readers(context: ScenarioContext) -> None:
    """Let ten clients ask for the same file, and only then read the replies."""
    text = context.fixture("text")
    clients = [context.connect() for _ in range(10)]
    for client in clients:
        client.send_line(b"get_slice %b 0 %d" % (text.name, text.size))
    for client in clients:
        client.status(0)
        client.slice(text.content, 0, text.size)
        client.finish()
