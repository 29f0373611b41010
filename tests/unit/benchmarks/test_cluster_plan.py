"""The plan of a run on many GPUs: sums that can be done by hand."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace

import pytest

from alexnet_lib import records
from alexnet_lib.benchmarks import cluster_plan
from alexnet_lib.cli import commands as cli

SITE = cluster_plan.Site(throughput=1000)
EXAMPLES = records.root() / "docs" / "examples"


def test_one_gpu_that_nothing_keeps_waiting():
    plan = cluster_plan.plan(SITE, 1, images=3_600_000, epochs=1)
    assert (plan.throughput, plan.hours, plan.gpu_hours, plan.cost) == (1000, 1, 1, 2)
    assert (plan.sent_a_step, plan.step_network, plan.waits_for) == (0, 0, "compute")
    assert plan.read_a_second == 17_000_000


def test_a_slow_network_sets_the_pace():
    plan = cluster_plan.plan(replace(SITE, network=0.1, throughput=1e6), 64)
    gradients = 4 * 60_965_224
    assert plan.sent_a_step == pytest.approx(2 * 63 / 64 * gradients)
    assert plan.step_network == pytest.approx(plan.sent_a_step / 1e8)
    assert plan.waits_for == "network"
    assert plan.throughput == pytest.approx(64 * 128 / plan.step_network)
    half = cluster_plan.plan(replace(SITE, network=0.1, throughput=1e6), 64, bytes_a_weight=2)
    assert half.throughput == pytest.approx(2 * plan.throughput)


def test_within_a_machine_the_bus_counts():
    slow = replace(SITE, network=1e-3)
    assert cluster_plan.plan(slow, 8) == cluster_plan.plan(SITE, 8)
    assert cluster_plan.plan(slow, 16).throughput < cluster_plan.plan(SITE, 16).throughput


def test_cores_that_decode_too_slowly():
    plan = cluster_plan.plan(replace(SITE, throughput=1e5, cores=2, bus=1e6), 8)
    assert plan.waits_for == "input"
    assert plan.throughput == pytest.approx(2 * SITE.decode)  # 4,000 a second for the machine
    raw = cluster_plan.plan(replace(SITE, throughput=1e5, cores=2), 1, kind="raw")
    assert raw.waits_for == "compute"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpus": 0}, "gpus is 0; it must be above 0"),
        ({"gpus": 1, "epochs": 0}, "epochs is 0"),
        ({"gpus": 1, "kind": "png"}, "kind is 'png'; choose raw or jpeg"),
    ],
)
def test_bad_values(options, message):
    with pytest.raises(ValueError, match=message):
        cluster_plan.plan(SITE, **options)


def test_the_command_prints_a_row_for_each_number_of_gpus(capsys):
    assert cli.main(["plan", "--rate", "3000", "--gpus", "1", "16"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["1", "16"]
    assert len({line.count("|") for line in lines}) == 1


def training_commands() -> list[list[str]]:
    """The arguments that the example scripts hand to the course's command line."""
    found = []
    for path in sorted(EXAMPLES.iterdir()):
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"-m alexnet_lib (.*)", text):
            found.append([re.sub(r"\$\w+", "x", word) for word in shlex.split(line)
                          if word != "$RESUME"])  # fmt: skip
    return found


def test_the_example_scripts_give_options_that_exist():
    commands = training_commands()
    assert len(commands) == 2
    for arguments in commands:
        options = cli._parser().parse_args(arguments)
        assert options.batch_size == 8 * 8 * 128


def test_the_example_scripts_are_well_formed():
    subprocess.run(["bash", "-n", str(EXAMPLES / "slurm.sh")], check=True)
    yaml = pytest.importorskip("yaml")
    service, job = yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text(encoding="utf-8"))
    assert (service["kind"], job["kind"]) == ("Service", "Job")
    script = job["spec"]["template"]["spec"]["containers"][0]["args"][0]
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
