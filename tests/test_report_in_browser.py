"""The page of a report, in a browser without a network."""

import json
import re
import shutil
import subprocess

import pytest

from sklearn_jedi.datasets import make_rotation_family
from sklearn_jedi.report import make_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium (Debian's package chromium)"
)

# the page measures itself; what it found becomes its title
_MEASURE = """<script>addEventListener("load", () => {
  document.querySelectorAll("details").forEach(d => d.open = true);
  document.title = JSON.stringify({
    width: document.documentElement.scrollWidth, window: innerWidth,
    pictures: [...document.images].map(i => [i.naturalWidth, i.width]),
    smallest: Math.min(...[...document.querySelectorAll("p,li,figcaption,td,th")]
      .map(e => parseFloat(getComputedStyle(e).fontSize)))});
});</script></body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    X, y, _ = make_rotation_family(6, n_timepoints=30, n_neurons=7, random_state=0)
    report = make_report(
        X,
        dt=0.01,
        labels=y,
        rank=2,
        embedding_dim=2,
        n_jobs=1,
        quiet=True,
        out=tmp_path_factory.mktemp("report") / "out",
    )
    return report.path


@pytest.mark.parametrize("width", [1200, 500])  # 500: the least that Chromium does
def test_the_page_fits_and_shows_its_pictures(page, tmp_path, width):
    text = page.read_text(encoding="utf-8").replace("</body>", _MEASURE)
    copy = tmp_path / "page.html"
    copy.write_text(text, encoding="utf-8")
    shown = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},900",
            "--dump-dom",
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    found = json.loads(re.search(r"<title>(\{.*?\})</title>", shown)[1])
    assert found["window"] == width
    assert found["width"] <= width  # nothing to scroll sideways
    assert len(found["pictures"]) == 6
    for natural, drawn in found["pictures"]:
        assert natural > 400
        assert 0 < drawn <= width
    assert found["smallest"] >= 12  # px
