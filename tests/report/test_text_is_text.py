"""A text from outside (a title, a name, a note) comes out of every sink as that text: it is no
markup, no link, no formula, and nothing that a terminal obeys."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import unicodedata
from datetime import UTC, datetime
from html.parser import HTMLParser

import openpyxl
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from reportlab.platypus import Paragraph
from rich.table import Table

from defectvision import logs
from defectvision.api.app import Said
from defectvision.cli.terminal import Terminal
from defectvision.report.dataset.class_charts import co_occurrence_chart
from defectvision.report.dataset.html import dataset_html
from defectvision.report.export import as_csv
from defectvision.report.pdf_style import BODY, covered, register_fonts, shown
from defectvision.report.tables import workbook
from defectvision.web import cards
from defectvision.web.lines.confusion import confusion_chart
from defectvision.words import plain

HOSTILE = (
    "<b>x</b>", "<img src=x onerror=alert(1)>", "<a href='http://x/'>", "</script><script>", "<br>",
    "&lt;", "&#60;", "[a](http://x)", "![a](http://x/i.png)", "http://x.example/", "www.x.example",
    "a@x.example", "**x**", "_x_", "`x`", "# x", "- x", "| x |", ":red[x]", ":material/home:",
    "$x$",
    "~~x~~", "{x}", "%{x}", "<para>", "<font color='red'>", "[red]x[/]", ":smile:", "=1+1", "+1",
    "-1+2", "@x", "\t=1+1", "\r=1+1", ";=1+1", "|=1+1", '"=1+1', "\uff1d1+1", "a;-1", "\x1b[31m",
    "\x1b]8;;http://x\x07", "\x9b2J", "\r\n", "\n", "\u202e", "\u2028", "\0", "\x7f", "'", '"',
    "\\",
)  # fmt: skip
TEXT = st.lists(
    st.sampled_from(HOSTILE)
    | st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=4),
    min_size=1,
    max_size=5,
).map("".join)


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def words(text: str) -> str:
    return " ".join(text.split())


@given(TEXT)
def test_where_markdown_is_read(text: str) -> None:
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = reader.parse(plain(text))
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}
    inner = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inner} <= {"text", "text_special", "softbreak"}
    read = "".join(child.content for child in inner)
    assert "http://" not in read and "www." not in read, "an address is a link in many readers"
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", read)


@given(TEXT)
def test_in_the_html_of_pages_and_reports(text: str) -> None:
    for make in (
        lambda given: cards.heading(given, given),
        lambda given: cards.facts([(given, given)]),
    ):
        assert Tags(make(text)).tags == Tags(make("harmless")).tags
        assert text.replace("\r\n", "\n") in "".join(Tags(make(text)).text).replace("\r\n", "\n")


@pytest.mark.parametrize("text", [*HOSTILE, "".join(HOSTILE)])
def test_in_the_report_of_a_set(text: str) -> None:
    def page(given: str) -> str:
        figure = go.Figure(go.Bar(x=[1], y=[1]))
        return dataset_html(
            given,
            given,
            [given],
            [(given, [(figure, given)])],
            [(given, given, [given], [[given]])],
        )

    tags = Tags(page(text)).tags
    assert [tag for tag, _ in tags] == [tag for tag, _ in Tags(page("harmless")).tags]


def leaves(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in leaves(inner)]
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):
        return [leaf for inner in list(value) for leaf in leaves(inner)]
    return []


@given(TEXT)
def test_in_the_words_of_charts(text: str) -> None:
    """Plotly reads some tags in every text."""
    figures = (
        confusion_chart({text: {text: 3}}),
        co_occurrence_chart(pd.DataFrame([[3]], index=[text], columns=[text])),
    )
    for figure in figures:
        # What a click filters by is never drawn.
        found = [x for x in leaves(figure.to_dict()) if not x.startswith('{"all_of"')]
        assert {tag for leaf in found for tag, _ in Tags(leaf).tags} <= {"b", "br", "extra"}
        assert not [leaf for leaf in found if "<b>x" in leaf or leaf == "<br>"]


@given(TEXT)
def test_in_the_pdf(text: str) -> None:
    register_fonts()
    paragraph = Paragraph(shown(text), BODY)
    assert {frag.fontName for frag in paragraph.frags} <= {BODY.fontName}
    assert not [frag for frag in paragraph.frags if getattr(frag, "link", None)]
    read = "".join(frag.text for frag in paragraph.frags)
    assert words(read) == words(covered(text))


@example("\t=1+1")
@example("a;\t =1")
@given(TEXT)
def test_in_a_csv_file_of_any_separator(text: str) -> None:
    content = as_csv(["name", "note", "number"], [[text, "n", -1.5], ["n", text, 2]])
    table = content.decode("utf-8-sig")
    for separator in ",;\t|":
        for row in csv.reader(io.StringIO(table, newline=""), delimiter=separator):
            for cell in row:
                begins = cell.lstrip(' "')[:1]
                number = re.fullmatch(r"-?[\d.]+(,.*)?", cell)
                assert number or begins not in tuple("=+-@\uff1d\uff0b\uff0d\uff20"), (cell, table)
    read = list(csv.reader(io.StringIO(table, newline="")))
    assert [len(row) for row in read] == [3, 3, 3]
    assert read[1][0].replace("'", "") == text.replace("'", ""), "nothing else is changed"


@given(TEXT.filter(lambda t: not re.search(r"[\x00-\x1f\ufffe\uffff]", t)))
def test_in_a_workbook(text: str) -> None:
    book = workbook({"results": (["name"], [[text]])}, datetime(2026, 1, 1, tzinfo=UTC))
    cell = openpyxl.load_workbook(io.BytesIO(book))["results"]["A2"]
    assert cell.data_type in ("s", "inlineStr") or not text
    assert cell.hyperlink is None
    assert (cell.value or "") == text


@example("a\u2028b")
@given(TEXT)
def test_on_the_terminal_and_in_the_log(text: str) -> None:
    out = io.StringIO()
    terminal = Terminal()
    terminal.file, terminal.width = out, 4000
    table = Table("name")
    table.add_row(text)
    terminal.say(text)
    terminal.print(table)
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s: read", (text,), None)
    logged = logs.Line(dated=False).format(record)
    assert "\n" not in logged
    for line in (*out.getvalue().split("\n"), logged):
        assert not [c for c in line if unicodedata.category(c) in ("Cc", "Cf", "Cs")], line
    assert len(out.getvalue().split("\n")) == 7, "one line, and a table of one row"


@given(TEXT)
def test_in_json(text: str) -> None:
    sent = Said({"name": text}).body
    assert sent.isascii()
    assert json.loads(sent) == {"name": text}
