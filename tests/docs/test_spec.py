# SPDX-License-Identifier: Apache-2.0
"""SPEC.md against the tests that name its rules, the schemas, and what the executables really write.

A test names the rules that it covers in a comment on the line that declares it:

    def test_missing_arguments(plugin):  # ARG-5
    TEST(CommandLine, NamesWhatIsMissing) {  // ARG-5
"""

import json
import os
import re
import signal
import subprocess
import time
from functools import cache
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).parents[2]
PATHS = [path for path in os.environ.get("VMMI_PLUGINS", "").split(os.pathsep) if path]
SPEC = (ROOT / "SPEC.md").read_text()
RULES = re.findall(r"`\[([A-Z]+-\d+)\]`", SPEC)
ID = re.compile(r"\b(?:" + "|".join(sorted({rule.partition("-")[0] for rule in RULES})) + r")-\d+\b")


@cache
def named():
    """Rules and the tests that name them."""
    declared = r"^(?:\s*def (test_\w+)\(|(?:TEST|TEST_F|TEST_P|RC_GTEST_PROP)\((\w+, \w+)).*?"
    declaration = re.compile(declared + r"(?:#|//) ([A-Z][A-Z0-9 ,-]+?)(?:  # noqa.*)?$", re.MULTILINE)
    found = {}
    for path in sorted((ROOT / "tests").rglob("*")):
        if path.suffix not in (".py", ".cpp"):
            continue
        for python, cpp, rules in declaration.findall(path.read_text()):
            for rule in ID.findall(rules):
                found.setdefault(rule, []).append(f"{path.relative_to(ROOT)}: {python or cpp}")
    return found


def test_a_rule_has_one_place():
    assert len(RULES) > 90
    assert sorted(rule for rule in set(RULES) if RULES.count(rule) > 1) == []


def test_a_rule_that_is_mentioned_exists():
    known = set(RULES)
    places = [ROOT / "SPEC.md", ROOT / "CONTRIBUTING.md", ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    for folder in ["tests", "src", "include", "plugins", "examples"]:
        places += [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".cpp", ".h", ".md", ".scd")]
    named_in = {f"{path.relative_to(ROOT)}: {rule}": rule for path in places for rule in ID.findall(path.read_text())}
    assert [place for place, rule in named_in.items() if rule not in known] == []


def test_a_range_of_rules_ends_where_it_can():
    for first, last in re.findall(r"([A-Z]+-\d+) to ([A-Z]+-\d+)", SPEC):
        prefix, low = first.split("-")
        assert last.split("-")[0] == prefix
        for number in range(int(low), int(last.split("-")[1]) + 1):
            assert f"{prefix}-{number}" in RULES


def test_every_rule_is_named_by_a_test():
    assert sorted(set(RULES) - set(named())) == []


# Examples


@cache
def schema(kind):
    loaded = json.loads((ROOT / "src" / "message" / "schema" / f"{kind}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(loaded)
    return loaded


def fits(message, kind=None):
    jsonschema.Draft202012Validator(schema(kind or message["contentType"])).validate(message)


def printed(path, text):
    return subprocess.run([path, "--print-config", "-", "-", "-", "-"], input=text, capture_output=True)


def examples():
    """The blocks of JSON in the pages; ```json fragment is none that stands alone."""
    pages = [ROOT / "SPEC.md", ROOT / "README.md", *sorted((ROOT / "plugins").glob("*/README.md"))]
    for page in [*pages, *sorted((ROOT / "docs").glob("*.md"))]:
        for number, block in enumerate(re.findall(r"^```json\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)):
            yield pytest.param(block, id=f"{page.relative_to(ROOT)}-{number}")


@pytest.mark.parametrize("block", examples())
def test_an_example_is_a_valid_message(block):
    message = json.loads(block)
    fits(message)
    if message["contentType"] != "configuration":
        return
    assert not PATHS or any(printed(path, block.encode()).returncode == 0 for path in PATHS), "no plugin accepts it"


def test_an_example_is_of_every_kind():
    kinds = [json.loads(parameter.values[0])["contentType"] for parameter in examples()]
    assert {"configuration", "status", "completion", "check"} == set(kinds)


# Tables


def table(title, first="key"):
    """Rows of the first table with that first column below the heading, as lists of cells."""
    chapter = re.search(rf"^##+ {re.escape(title)}.*?$(.*?)(?=^##|\Z)", SPEC, re.MULTILINE | re.DOTALL)[1]
    lines = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", chapter, re.MULTILINE)[1].splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def keys(rows):
    return [name.strip("`") for row in rows for name in row[0].split(", ")]


def with_type(value):
    return [value] if isinstance(value, str) else value


# As the tables say it: the words of JSON Schema.
TYPES = {"list of strings": "array", "list of actions": "array", "list of objects": "array"}


def types_of_table(cell):
    words = re.split(r",| or ", cell.replace("`", ""))[0:2] if " or " in cell else [cell.split(",")[0].strip("`")]
    return sorted(TYPES.get(word.strip(), word.strip()) for word in words)


def types_of_schema(definition):
    if "oneOf" in definition:
        return sorted("action" if "$ref" in one else one["type"] for one in definition["oneOf"])
    if "enum" in definition:
        return ["string"]
    if "$ref" in definition:
        return ["object"]
    return sorted(with_type(definition["type"]))


def bodies():
    completion = schema("completion")["$defs"]
    status = schema("status")
    yield "4.1 Status", status["properties"]["status"], set()
    yield "4.2 Completion", completion["success"], set()
    yield "4.2 Completion", completion["error"], {"code", "message", "details"}
    yield "4.3 Actions", completion["action"], set()
    yield "4.3 Actions", status["$defs"]["action"], set()
    yield "4.5 Work lost", completion["workLost"], set()
    yield "4.5 Work lost", status["$defs"]["workLost"], set()
    yield "4.4 Check", schema("check")["$defs"]["check"], set()


@pytest.mark.parametrize("title, body, more", bodies(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_tables_of_messages_have_the_keys_and_types_of_the_schemas(title, body, more):
    rows = table(title)
    assert set(keys(rows)) | more == set(body["properties"])
    assert len(keys(rows)) == len(set(keys(rows)))
    assert body["additionalProperties"] is False
    for name, kind, *_ in rows:
        assert types_of_table(kind) == types_of_schema(body["properties"][name.strip("`")]), name


def test_nothing_is_left_out_of_a_message_but_in_actions():  # MSG-7
    for title, body, _ in bodies():
        if title != "4.3 Actions":
            assert set(body["required"]) == set(body["properties"])
    assert schema("status")["$defs"]["action"] == schema("completion")["$defs"]["action"]


def test_the_phases_are_those_of_the_schema():
    phases = schema("status")["properties"]["status"]["properties"]["phase"]["enum"]
    assert keys(table("4.1 Status", "phase")) == phases


def test_the_causes_are_those_of_the_schema():
    causes = schema("completion")["$defs"]["success"]["properties"]["cause"]
    error = schema("completion")["$defs"]["error"]["properties"]["cause"]
    permitted = {word for one in (causes, error) for word in one.get("enum", [one.get("const")])}
    assert set(keys(table("4.2 Completion", "cause"))) == permitted


def test_the_checks_and_their_results_are_those_of_the_schema():
    one = schema("check")["$defs"]["one"]["properties"]
    assert keys(table("4.4 Check", "check")) == one["check"]["enum"]
    assert set(keys(table("4.4 Check", "result"))) == set(one["result"]["enum"])


def test_the_codes_are_those_of_the_schema_and_of_the_code():  # ERR-1
    rows = table("5. Error codes", "code")
    numbers = [int(row[0]) for row in rows]
    assert numbers == list(range(len(rows)))
    code = schema("completion")["$defs"]["error"]["properties"]["code"]
    validator = jsonschema.Draft202012Validator(code)
    assert [number for number in range(100) if validator.is_valid(number)] == numbers[1:]
    header = (ROOT / "include" / "vmmi" / "result.h").read_text()
    assert [int(n) for n in re.findall(r"^    \w+ = (\d+),", header, re.MULTILINE)] == numbers


def test_a_plugins_own_codes_begin_at_100():  # ERR-2
    validator = jsonschema.Draft202012Validator(schema("completion")["$defs"]["error"]["properties"]["code"])
    own = [number for number in range(-1, 300) if validator.is_valid(number)][len(table("5. Error codes", "code")) - 1 :]
    assert own == list(range(100, 300))


def test_the_content_types_are_those_of_the_schemas():  # MSG-3
    reserved = re.search(r"`\[MSG-3\]` The content types ((?:`\w+`(?:, | and )?)+)", SPEC)[1]
    kinds = sorted(path.name.partition(".")[0] for path in (ROOT / "src" / "message" / "schema").glob("*.schema.json"))
    assert sorted(re.findall(r"\w+", reserved.replace(" and ", " "))) == kinds
    assert [schema(kind)["properties"]["contentType"]["const"] for kind in kinds] == kinds


# Configuration


def flat(properties, prefix=""):
    for name, definition in properties.items():
        if definition.get("type") == "object":
            yield from flat(definition["properties"], f"{prefix}{name}.")
        else:
            yield prefix + name, definition


def keys_of_schema():
    return dict(flat(schema("configuration")["properties"]["configuration"]["properties"]))


def help_of(path):
    """Keys and what stands in their parentheses."""
    text = subprocess.run([path, "--help"], capture_output=True, text=True, check=True).stdout
    text = text.partition("\nConfiguration keys:\n")[2]
    return dict(re.findall(r"^  ([A-Za-z.\[\]]+)  \((.*)\)$", text, re.MULTILINE))


def common_keys():
    if len(PATHS) < 2:
        pytest.skip("VMMI_PLUGINS: two plugins tell what is common to all")
    first, *others = [help_of(path) for path in PATHS]
    return {key: text for key, text in first.items() if all(other.get(key) == text for other in others)}


def test_the_common_keys_are_those_of_the_schema_and_the_table():
    assert set(common_keys()) == set(keys_of_schema()) == set(keys(table("3.3 Keys")))


def test_the_schema_tells_ranges_choices_and_defaults_as_the_help_does():
    for key, text in common_keys().items():
        definition = keys_of_schema()[key]
        if match := re.match(r"integer (-?\d+)\.\.(-?\d+)", text):
            assert definition["type"] == "integer"
            assert (definition["minimum"], definition["maximum"]) == tuple(map(int, match.groups())), key
        elif " | " in text:
            assert definition["enum"] == text.partition(",")[0].split(" | ")
        else:
            assert text.startswith("string") and definition["$ref"] == "#/$defs/text"
        default = re.search(r"default (.*)$", text)
        assert ("default" in definition) == (default is not None), key
        if default:
            assert json.loads(default[1]) == definition["default"]


def test_the_table_tells_ranges_and_defaults_as_the_schema_does():
    for name, kind, default, *_ in table("3.3 Keys"):
        definition = keys_of_schema()[name.strip("`")]
        if match := re.fullmatch(r"integer, (\d+) to (\d+)", kind):
            assert (definition["minimum"], definition["maximum"]) == tuple(map(int, match.groups())), name
        elif "enum" in definition:
            assert re.findall(r'"(\w+)"', kind) == definition["enum"], name
        else:
            assert kind == "string"
        if "default" in definition:
            assert json.loads(default.strip("`")) == definition["default"]
        else:
            assert not re.fullmatch(r'`?("[^"]*"|\d+)`?', default), name


def message(**changes):
    whole = {"vmmiVersion": "0.4.1", "contentType": "configuration", "configuration": {}}
    whole.update(changes)
    return {key: value for key, value in whole.items() if value is not ...}


CONFIGURATIONS = [
    message(),
    message(vmmiVersion="0.3.0", timestamp=1),
    *[message(vmmiVersion=wrong) for wrong in ("0.4.0", "", None, 0.4, [], ...)],
    *[message(contentType=wrong) for wrong in ("status", "", None, 1, ...)],
    *[message(configuration=wrong) for wrong in (None, [], "", 1, ...)],
    message(more=1),
    *[message(configuration={"verbose": value}) for value in (-1, 0, 3, 4, 1.5, "1", True, None, [], 2**63)],
    *[message(configuration={"monitorInterval": value}) for value in (0, 1, 3600, 3601)],
    *[message(configuration={"connectionTimeout": value}) for value in (1, 2, 3600, 3601)],
    *[message(configuration={"connection": value}) for value in ("", "x", "\0", "a\nb", "\x7f", "ä€")],
    *[message(configuration={"connection": "x" * length}) for length in (4096, 4097)],
    *[message(configuration={"connection": value}) for value in (None, 1, [], {}, False)],
    *[message(configuration={"logFilePath": value}) for value in ("", "x", "a\tb", 1)],
    *[message(configuration={"logTarget": value}) for value in ("none", "file", "syslog", "journal", "", "File", 1)],
    message(configuration={"logTarget": "file", "logFilePath": "x"}),
    message(configuration={"logTarget": "syslog", "logFilePath": "x"}),
    *[message(configuration={"connectionCredentials": value}) for value in ({}, [], {"username": ""}, {"x": 1})],
    message(configuration={"connectionCredentials": {"username": "x", "passwordFile": "/x"}}),
    message(configuration={"connectionCredentials": {"password": "x"}}),
    [],
    {},
    None,
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: Path(path).name)
def test_the_schema_and_the_reader_take_the_same_configurations(path):  # CFG-9 CFG-12 CFG-13 CFG-23
    validator = jsonschema.Draft202012Validator(schema("configuration"))
    for given in CONFIGURATIONS:
        text = json.dumps(given).encode()
        run = printed(path, text)
        assert (run.returncode == 0) == validator.is_valid(given), f"{text[:200]}: {run.stderr.decode()}"
        if run.returncode == 0:
            fits(json.loads(run.stdout))


# What a run writes


@pytest.mark.parametrize("path", PATHS, ids=lambda path: Path(path).name)
def test_a_run_writes_exactly_the_keys_of_the_schemas(path):  # MSG-2 MSG-7 COMP-2 STAT-1
    """libvirt's test driver cannot migrate: a status while it is asked, and an error."""
    text = json.dumps(message(configuration={"connection": "test:///default"})).encode()
    guest = "6695eb01-f6a4-8304-79aa-97f2502e193f"
    with subprocess.Popen(
        [path, guest, "qemu+tcp://destination/system", "tcp://destination", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]),
    ) as process:
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.1)
        output, error = process.communicate(text, timeout=60)
    status, completion = json.loads(output), json.loads(error)
    for written in (status, completion):
        fits(written)
        assert set(written) == set(schema(written["contentType"])["required"])
    assert set(status["status"]) == set(schema("status")["properties"]["status"]["properties"])
    assert set(completion["completion"]) == {"result", "error"}
    assert set(completion["completion"]["error"]) == set(schema("completion")["$defs"]["error"]["properties"])
