"""What README and docs claim: commands and options there are, examples that do what is said, numbers of the code."""

from __future__ import annotations

import json
import re
import subprocess
from importlib import import_module
from pathlib import Path

import click
import pytest
import yaml

from tests.cli.shapes import SHAPES, differs
from tests.cli.shell import NETWORK, warren
from warren.cli import lab_leaks
from warren.cli.main import COMMANDS
from warren.core.codes import CODES
from warren.core.compile.ledger import Step
from warren.core.conf.diagnostics import CODES as CONF_CODES
from warren.core.imports.diagnostics import CODES as IMPORT_CODES
from warren.lab.leaks.scenarios import SCENARIOS
from warren.lab.matrix.faults import Outcome
from warren.lab.report import Line
from warren.model.state import FRONT_PRIORITIES, MARK_MASK, OWNER_SLOTS, PRIORITIES, PROTOCOL, TABLES
from warren.model.trace import Disposition

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
HOW = (ROOT / "docs" / "how-it-works.md").read_text()
JSON = (ROOT / "docs" / "json.md").read_text()

# `warren words…` in code: inline, or at the beginning of a line of a console block.
COMMAND = re.compile(r"(?:`|^\$ |^  |sudo )warren((?: [^\s`#|\\]+)*)", re.MULTILINE)
ANSWERS = {"warren check": 1}  # what README shows of it is a finding


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def find(words: list[str]) -> tuple[click.Command | None, list[str]]:
    """Find the command that some words call, and what is left of them."""
    entry = COMMANDS.get(words[0])
    if entry is None:
        return None, words
    module, _, attribute = entry.target.partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    if isinstance(command, click.Group) and words[1:]:
        # `lab up|test|down` names several.
        named = [command.commands.get(name) for name in words[1].split("|")]
        return (None, words) if None in named else (named[0], words[2:])
    return command, words[1:]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_command_that_is_named_exists_with_its_options(page: Path) -> None:
    called = [found.split() for found in COMMAND.findall(page.read_text()) if found.strip()]
    wrong = []
    for words in called:
        if words[0].startswith("-") or words[0] == "COMMAND":
            continue
        for verb in words[0].split("|"):
            command, rest = find([verb, *words[1:]])
            if command is None:
                wrong.append(" ".join(words))
                continue
            known = {name for one in command.params for name in one.opts} | {"--help"}
            wrong += [f"{' '.join(words)}: {word}" for word in rest if word.startswith("--") and word not in known]

    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in slugs, target


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_code_that_is_named_exists(page: Path) -> None:
    known = CODES.keys() | CONF_CODES.keys() | IMPORT_CODES.keys()

    assert {code for code in re.findall(r"\bW\d{3}\b", page.read_text()) if code not in known} == set()


def test_the_pages_are_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()

    pages = [page.name for page in PAGES if page.name != "README.md"]
    assert [name for name in pages if f"({name})" not in index] == []
    assert [name for name in pages if f"(docs/{name})" not in README.partition("## Documentation")[2]] == []


def test_readme_lists_what_there_is() -> None:
    shown = {found.split()[0] for found in COMMAND.findall(README) if found.strip()}

    assert {
        "check",
        "lock",
        "verify",
        "trace",
        "lab",
        "plan",
        "apply",
        "confirm",
        "down",
        "up",
        "init",
        "keys",
    } <= shown


# --- README -----------------------------------------------------------------------------------------------


def test_the_file_in_the_readme_keeps_its_promises(tmp_path: Path) -> None:
    text = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "portals.yaml").write_text(text)
    promises = len(yaml.safe_load(text)["expect"])

    told = json.loads(warren("verify", "portals.yaml", "--json", cwd=tmp_path).stdout)

    assert warren("lock", "portals.yaml", cwd=tmp_path).returncode == 0
    assert warren("check", "portals.yaml", cwd=tmp_path).stdout.startswith("portals.yaml: nothing wrong")
    assert told["ok"]
    assert sum(verdict["kind"] == "expect" for verdict in told["verdicts"]) >= promises


def test_the_quick_start_prints_what_it_says(tmp_path: Path) -> None:
    """Typed in order by somebody who pastes two keys; every line that the README shows is there."""
    blocks = re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    said = "\n".join(blocks)
    keys = []
    for name in ("nyc", "paris"):
        made = warren("keys", "gen", str(tmp_path / name))
        assert made.stderr.split(" is in ")[1].partition(";")[2] in said
        keys.append(made.stdout.strip())

    printed = [
        warren(
            "init", "--name", "home", "--host", "nyc=nyc.example.net", "--host", "paris", "--exit-mesh", cwd=tmp_path
        ).stdout
    ]
    file = tmp_path / "home.yaml"
    text = file.read_text()
    for key in keys:
        text = re.sub(r"# key:.*", f"key: {key}", text, count=1)
    file.write_text(text.replace("exit: paris}", "exit: pariss}", 1))
    printed.append(warren("check", "home.yaml", cwd=tmp_path).stdout)
    file.write_text(text)
    printed += [warren(verb, "home.yaml", cwd=tmp_path).stdout for verb in ("lock", "verify")]

    for block, output in zip((blocks[0], blocks[2], blocks[3], blocks[4]), printed, strict=True):
        shown = [line for line in block.splitlines() if not line.startswith("$") and line != "…"]
        lines = output.splitlines()
        # The excerpt below a finding is for terminals, and standard error counts.
        missing = [line for line in shown if line not in lines and " | " not in line and not line.endswith("warnings")]
        assert not missing


def test_the_outputs_have_their_places() -> None:
    for name in ("demo", "test"):
        assert README.count(f"<!-- {name} output: begin -->") == README.count(f"<!-- {name} output: end -->") == 1


# --- how it works -----------------------------------------------------------------------------------------


def test_the_steps_of_the_rules_are_those_of_the_code() -> None:
    table = HOW[HOW.index("| priority |") :].partition("\n\n")[0]
    numbers = [
        int(number)
        for number in re.findall(r"\b77\d\d\b", "\n".join(re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE)))
    ]

    assert numbers == [step.priority(0) for step in Step]
    assert "one of six" in HOW and len(OWNER_SLOTS) == 6


def test_the_ledger_is_that_of_the_code() -> None:
    assert f"`{MARK_MASK:#x}`" in HOW
    assert f"| routing tables | {TABLES[0]}–{TABLES[-1]} |" in HOW
    assert f"| {PRIORITIES[0]}–{PRIORITIES[-1]}, and {FRONT_PRIORITIES[0]}–{FRONT_PRIORITIES[-1]} in front" in HOW
    assert f"protocol number {PROTOCOL} |" in HOW


def test_the_chains_are_those_of_the_code(tmp_path: Path) -> None:
    """One table of the page, against a state that has all of them."""
    from warren.core.compile import compile_network
    from warren.core.load import load
    from warren.sys.sets import read_sets

    named = set(re.findall(r"^\| `(\w+)` \|", HOW, re.MULTILINE))
    hooked = set()
    for example in ("portals", "own-traffic", "overlap", "gateway", "names", "mesh"):
        path = ROOT / "examples" / f"{example}.yaml"
        loaded = load(path.read_bytes(), None, example, sets=read_sets(str(path)))
        assert loaded.network is not None and loaded.lock is not None
        for state in compile_network(loaded.network, loaded.lock, {}).values():
            hooked |= {chain.name for table in state.tables for chain in table.chains if chain.hook}

    assert {name for name in named if name not in ("cli", "lab", "daemon", "sys", "core", "proto", "model")} == hooked


# --- JSON -------------------------------------------------------------------------------------------------


def test_every_shape_is_that_of_a_command() -> None:
    """`keys-gen` documents `keys gen`, and every command that takes --json has a shape or shares one that is named."""
    headings = ", ".join(re.findall(r"^## (.*)$", JSON, re.MULTILINE))

    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", headings), name
    for shape in SHAPES.keys() - {"error"}:
        assert shape.split("-")[0] in COMMANDS, shape


def test_dispositions_are_all_documented() -> None:
    listed = JSON[JSON.index("`disposition` is one of") :].partition(". ")[0]

    assert set(re.findall(r"`([a-z-]+)`", listed)) - {"disposition"} == {str(one) for one in Disposition}


@pytest.mark.parametrize(
    ("shape", "args"),
    [
        ("error", ("check", "nowhere.yaml")),
        ("check", ("check", "bad.yaml")),
        ("init", ("init", "--host", "a", "-o", "-")),
        ("lock", ("lock", "portals.yaml")),
        ("keys-gen", ("keys", "gen", "private.key")),
        ("keys-psk", ("keys", "psk", "psk")),
        ("verify", ("verify", "portals.yaml")),
        ("trace", ("trace", "portals.yaml", "nyc.eth2", "1.1.1.1")),
        ("completion", ("completion", "bash")),
    ],
)
def test_shapes(shape: str, args: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "portals.yaml").write_text(NETWORK)
    (tmp_path / "bad.yaml").write_text(NETWORK.replace("exit: nyc}", "exit: nycc}"))

    ended = warren(*args, "--json", cwd=tmp_path)

    assert differs(json.loads(ended.stdout), SHAPES[shape]) == []


def test_rendered_files_have_the_documented_shape(tmp_path: Path) -> None:
    (tmp_path / "portals.yaml").write_text(NETWORK)
    assert warren("lock", "portals.yaml", cwd=tmp_path).returncode == 0

    ended = warren("render", "portals.yaml", "--host", "nyc", "--as", "wg-quick", "-o", "nyc", "--json", cwd=tmp_path)

    assert differs(json.loads(ended.stdout), SHAPES["render"]) == []


def test_a_failed_verdict_carries_a_trace_of_the_documented_shape(tmp_path: Path) -> None:
    (tmp_path / "portals.yaml").write_text(NETWORK + "expect:\n  - {from: nyc.eth2, to: 1.1.1.1, exit: nyc}\n")

    ended = warren("verify", "portals.yaml", "--json", cwd=tmp_path)

    told = json.loads(ended.stdout)
    traces = [verdict["trace"] for verdict in told["verdicts"] if not verdict["holds"]]
    assert ended.returncode == 1 and traces
    documented = {key: value for key, value in SHAPES["trace"][0].items() if key != "family"}
    assert not [line for trace in traces for line in differs(trace, documented)]


def test_strip_and_pub(tmp_path: Path) -> None:
    key = subprocess.run(["wg", "genkey"], capture_output=True, text=True).stdout
    (tmp_path / "key").write_text(key)
    (tmp_path / "wg7.conf").write_text(f"[Interface]\nPrivateKey = {key}Address = 10.9.0.1/24\n")

    assert differs(json.loads(warren("keys", "pub", str(tmp_path / "key"), "--json").stdout), SHAPES["keys-pub"]) == []
    assert differs(json.loads(warren("strip", str(tmp_path / "wg7.conf"), "--json").stdout), SHAPES["strip"]) == []


def test_a_line_of_the_lab_has_the_documented_keys() -> None:
    assert set(SHAPES["lab-test"]["expectations"][0]) == set(Line.__dataclass_fields__)
    (scenario,) = SHAPES["lab-leaks"]["scenarios"]
    assert set(scenario) == {*lab_leaks.KEYS, *lab_leaks.FOUND}
    assert set(SHAPES["lab-matrix"]["faults"][0]) == {*Outcome.__dataclass_fields__, "holds"}


def test_the_matrix_prints_the_documented_shape() -> None:
    ended = warren("lab", "matrix", "--part", "simulated", "--only", "home", "--simulated", "2", "--json")

    assert ended.returncode == 0
    assert differs(json.loads(ended.stdout)["pairs"], SHAPES["lab-matrix"]["pairs"]) == []


def test_every_scenario_of_the_leak_suite_has_its_row() -> None:
    """The page carries the table that a run printed, of these scenarios and no others."""
    page = (ROOT / "docs" / "leaks.md").read_text()
    rows = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]
    assert rows == [one.name for one in SCENARIOS]


# --- exit statuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "args"),
    [
        (0, ("check", "right.yaml")),
        (1, ("check", "wrong.yaml")),
        (0, ("verify", "right.yaml")),
        (1, ("verify", "broken.yaml")),
        (0, ("trace", "right.yaml", "nyc.eth2", "1.1.1.1")),
        (1, ("trace", "right.yaml", "nyc.eth2", "1.1.1.1", "--down", "paris")),
        (1, ("lock", "right.yaml", "--check")),
        (1, ("plan", "wrong.yaml")),
        (1, ("plan", "right.yaml")),  # it is not locked
        (1, ("plan", "--unknown", "right.yaml")),
        (1, ("apply", "right.yaml")),
        (1, ("up", "nowhere.conf")),
        (1, ("strip", "nowhere.conf")),
    ],
)
@pytest.mark.parametrize("as_json", [(), ("--json",)])
def test_exit_statuses(status: int, args: tuple[str, ...], as_json: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "right.yaml").write_text(NETWORK)
    (tmp_path / "wrong.yaml").write_text(NETWORK.replace("exit: nyc}", "exit: nycc}"))
    (tmp_path / "broken.yaml").write_text(NETWORK + "expect:\n  - {from: nyc.eth2, to: 1.1.1.1, exit: nyc}\n")

    ended = warren(*args, *as_json, cwd=tmp_path)

    assert ended.returncode == status, ended.stderr
    assert "bug" not in ended.stderr
    if as_json:
        json.loads(ended.stdout)


# --- the container image ----------------------------------------------------------------------------------


def test_the_image_is_made_with_the_versions_of_dev() -> None:
    image, dev = (ROOT / "Containerfile").read_text(), (ROOT / "dev").read_text()

    assert re.findall(r"^ARG UV=(\S+)$", image, re.MULTILINE) == re.findall(r"UV_VERSION=(\S+)", dev)[:1]
    for path in re.findall(r"^COPY (?!--from)(?:--\S+ )?(.*) \S+$", image, re.MULTILINE):
        assert all((ROOT / name).exists() for name in path.split()), path
