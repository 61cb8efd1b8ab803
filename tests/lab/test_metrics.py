"""Lines of metrics: torn ones, ones from the future, and other writers."""

import json

import pytest

from unrolljax.lab import metrics


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def line(step):
    return {"step": step, "loss": 0.1 * step, "status": {"CONVERGED": 4}}


def test_lines_come_back_to_the_last_bit(path):
    writer = metrics.JsonLines(path)
    for step in range(3):
        writer(line(step))
    assert metrics.read(path) == [line(step) for step in range(3)]  # flushed before it is closed
    writer.close()


def test_what_is_not_finite_is_valid_json(path):
    writer = metrics.JsonLines(path)
    writer({"step": 1, "loss": float("nan"), "more": {"norm": float("inf")}})
    writer.close()
    parsed = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert parsed == {"step": 1, "loss": None, "more": {"norm": None}}


def test_truncation_drops_later_and_torn_lines(path, caplog):
    writer = metrics.JsonLines(path)
    for step in range(1, 6):
        writer(line(step))
    writer.close()
    whole = path.read_text()
    path.write_text(whole + '{"step": 6, "lo')
    writer = metrics.JsonLines(path)
    writer.truncate(3)
    assert "line 6 is torn" in caplog.text
    writer(line(4))
    writer.close()
    assert path.read_text() == "".join(whole.splitlines(keepends=True)[:4])


@pytest.mark.parametrize("torn", ["12", '{"loss": 1}', "[]", '{"step": "x"}', "\udcff"])
def test_a_line_that_is_no_line_is_dropped(path, torn):
    path.write_bytes(f'{{"step": 1}}\n{torn}\n'.encode(errors="surrogateescape"))
    assert metrics.read(path) == [{"step": 1}]


def test_a_file_that_is_not_there_has_no_lines(path):
    assert metrics.read(path) == []


def test_names_are_flattened():
    assert metrics.flatten({"a": {"b": {"c": 1}, "d": 2}, "e": 3}) == {"a/b/c": 1, "a/d": 2, "e": 3}


def test_tensorboard_gets_the_same_numbers(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    writer = metrics.TensorBoard(tmp_path, first_step=0)
    for step in (1, 2):
        writer(line(step))
    writer.close()
    (events,) = tmp_path.glob("events*")
    found = {}
    content = events.read_bytes()
    while content:  # a record: length (8 bytes), checksum (4), content, checksum (4)
        length = int.from_bytes(content[:8], "little")
        event = Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
    assert found[("loss", 2)] == pytest.approx(0.2)
    assert found[("status/CONVERGED", 1)] == 4
