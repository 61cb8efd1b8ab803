"""Results in words."""

from unrolljax.lab import report

RESULT = {
    "experiment": "experiments.toy", "command": "python -m experiments.toy seed=3", "steps": 2,
    "results": {"error": 0.123456789, "note": "fine", "camera": {"Wiener": {"PSNR dB": 24.98}}},
    "seconds": 2.25, "compilations": 7, "compile_seconds": 1.0, "compilations_after_warmup": 0,
    "peak_host_mb": 512.4, "peak_device_mb": None, "platform": "cpu", "devices": 8, "processes": 2,
    "config_sha256": "c" * 64, "parameters_sha256": "p" * 64,
}  # fmt: skip


def test_headline_numbers_line_up():
    nested = {"ISTA": {"dB": -5.3, "s": 1.0}, "a longer name": {"dB": -10.123456}}
    assert report.headline({"loss": 0.5, "steps": 12, "errors": nested}) == (
        "loss   0.5\n"
        "steps  12\n"
        "\n"
        "errors                dB  s\n"
        "  ISTA              -5.3  1\n"
        "  a longer name  -10.123"
    )


def test_a_report_tells_what_was_done_and_what_it_cost():
    lines = [
        {"step": 1, "loss": 4.0, "status": {"CONVERGED": 3}},
        {"step": 2, "loss": 2.0, "status": {"CONVERGED": 2, "MAX_STEPS": 1}},
        {"step": 2, "evaluation/loss": 2.5},
    ]
    text = report.markdown(RESULT, lines)
    for expected in (
        "python -m experiments.toy seed=3", "| Training loss | 4 to 2 |",
        "| Held-out loss | 2.5 to 2.5",
        "CONVERGED 5, MAX_STEPS 1", "7 in 1.0 s, 0 of them after", "host 512 MB |",
        "8 x cpu, 2 process(es)", "0.12346",
    ):  # fmt: skip
        assert expected in text


def test_a_device_with_a_counter_is_reported():
    assert "device 1000 MB" in report.markdown(RESULT | {"peak_device_mb": 1000.0}, [])
