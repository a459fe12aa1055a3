"""The readable text of an HTML page."""

from agentinfer.errors import MissingExtra

_NOISE = "script,style,noscript,template,svg,nav,footer,aside,form,iframe,button,select,head"
_BLOCKS = (
    "address,article,blockquote,br,caption,dd,details,div,dl,dt,figcaption,figure,h1,h2,h3,h4,h5,h6,header,hr,li,main,"
    "ol,p,pre,section,summary,table,tr,ul"
)
_LINE = "\x1e"
_CELL = "\x1f"


def read_html(html: str) -> tuple[str, str]:
    """Return a page's title and its text, one block a line, without scripts, styles and navigation.

    Raises:
        MissingExtra: The extra `html` is not installed.
    """
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError:
        raise MissingExtra("html", "Reading HTML files") from None
    page = LexborHTMLParser(html.replace(_LINE, " ").replace(_CELL, " "))
    titles = [node.text() for node in (page.css_first("head > title"), page.css_first("h1")) if node is not None]
    for node in page.css(_NOISE):
        node.decompose()
    root = page.css_first("main") or page.body
    if root is None:
        return "", ""
    for node in root.css(_BLOCKS):
        node.insert_before(_LINE)
        node.insert_after(_LINE)
    for node in root.css("td,th"):
        node.insert_after(_CELL)
    lines = (" ".join(line.replace(_CELL, " | ").split()).strip("| ") for line in root.text().split(_LINE))
    title = next((" ".join(t.split()) for t in titles if t.strip()), "")
    return title, "\n".join(line for line in lines if line)
