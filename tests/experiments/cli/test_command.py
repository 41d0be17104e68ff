"""The command line: fast, clear, and with the exit code it promises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.cli.tasks import project_tasks
from experiments.run import run

ROOT = str(Path(__file__).resolve().parents[3])


@pytest.fixture
def scansim(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")

    def command(*argv):
        code = run(argv)
        return code, *capsys.readouterr()

    return command


def python(code, folder, **env):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": ROOT, **env},
    )


HEAVY = (
    "print(sorted({'jax', 'numpy', 'xarray', 'scipy', 'netCDF4', 'matplotlib'} & set(sys.modules)))"
)


@pytest.mark.parametrize(
    ("argv", "env", "says"),
    [
        (["--help"], {}, "Exit codes:"),
        (["--version"], {}, "scansim 0."),
        (["-sc", "query=bash"], {"COMP_LINE": "scansim model=pen"}, "model=pendulum"),
        (
            ["-sc", "query=bash"],
            {"COMP_LINE": "python -m experiments.run integrator=r"},
            "integrator=rk4",
        ),
        (
            ["-sc", "query=bash"],
            {"COMP_LINE": "scansim model=duffing model.params."},
            "model.params.cubic=",
        ),
        (["-sc", "query=bash"], {"COMP_LINE": "scansim task=fit fit="}, "fit=least_squares"),
        (["-sc", "query=bash"], {"COMP_LINE": "scansim task=fit data.te"}, "data.test_path="),
        (["duratoin=3"], {}, "did you mean 'duration'?"),
        (["model.params.roh=3"], {}, "did you mean 'model.params.rho'?"),
        (["dt=fast"], {}, "expected a finite number"),
        (["model._target_=os.system"], {}, "is refused"),
    ],
)
def test_what_needs_no_jax_does_not_import_it(tmp_path, argv, env, says):
    code = f"import sys\nfrom experiments.run import run\nrun({argv})\n{HEAVY}"
    done = python(code, tmp_path, **env)
    assert says in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert not list(tmp_path.iterdir())


def test_the_module_is_a_command(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", "modle=chain"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    assert done.returncode == 2
    assert done.stderr == "scansim: modle: unknown key; did you mean 'model'?\n"


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        ("model=pendulm", 2, "model: unknown option 'pendulm'; did you mean 'pendulum'?"),
        ("integrator=rk44", 2, "integrator: unknown option 'rk44'; did you mean 'rk4'?"),
        (
            "experiment=tanks",
            2,
            "experiment: unknown option 'tanks'; did you mean 'cascaded_tanks'?",
        ),
        (
            "model.params.length=2",
            2,
            "model.params.length: unknown key; it belongs to model=pendulum",
        ),
        ("input.path=x.csv", 2, "input.path: unknown key; it belongs to input=file"),
        ("output.svae_every=2", 2, "did you mean 'output.save_every'?"),
        ("+foo=1", 2, "foo: unknown key"),
        ("duration", 2, "'duration': expected KEY=VALUE or GROUP=OPTION"),
        ("dt=0", 2, "dt: expected a step length in s other than 0"),
        ("dt=null", 2, "dt: expected a number of s, because there is no recorded input"),
        ("duration=-5", 2, "duration: expected a positive number of s, got -5"),
        ("substeps=0", 2, "substeps: expected a whole number of at least 1, got 0"),
        ("substeps=1.5", 2, "substeps: expected a whole number, got 1.5"),
        ("runtime.precision=float16", 2, "expected one of float64, float32, got 'float16'"),
        (
            "output.chunk=5 output.save_every=2",
            2,
            "expected a multiple of output.save_every, 2, got 5",
        ),
        ("output.phase=[x,w]", 2, "output.phase: no state 'w'; known here: x, y, z"),
        ("model.initial.x=[1,2]", 2, "model.initial.x: expected a number, got shape (2,)"),
        ("model.initial.x=abc", 2, "model.initial.x: expected a number, got 'abc'"),
        ("model.initial.x=nan", 2, "model.initial.x: expected a finite number, got nan"),
        (
            "model=chain model.initial.velocity=[0,0,0,0]",
            2,
            "model.initial.position: expected a value",
        ),
        (
            "output.save_every=6000",
            2,
            "output.save_every: expected at most 5000, the steps of the run",
        ),
        ("dt=1e-320", 2, "duration: expected at most 1e+12 steps of dt, got inf"),
        ("runtime.platform=tpu", 2, "runtime.platform: JAX finds no tpu here"),
        ("integrator._target_=sim.models.lorenz.model", 2, "expected a piece that takes 'f'"),
        (
            "model._target_=sim.models.lorenz.Params",
            2,
            "expected a function that returns sim.models.model.Model, got one that returns Params",
        ),
        ("integrator=rk4,heun", 2, "a sweep over several values needs -m"),
        ("--foo", 2, "unrecognized arguments: --foo; scansim --help lists the flags"),
        ("--cfg jobs", 2, "invalid choice: 'jobs'"),
        ("model=chain model.n=0", 2, "model.n: expected an integer of at least 1, got 0"),
        ("model=own", 2, "model._target_: expected a value, got nothing"),
        ("input=sine", 2, "input: expected none, because lorenz takes no input"),
        (
            "model=pendulum input=sine input.hold=qq",
            2,
            "input.hold: expected one of zero_order, first_order, cubic, band_limited, got 'qq'\n",
        ),
        (
            "model=pendulum input=prbs input.clock=0.015",
            2,
            "input.clock: expected a whole number of",
        ),
        ("model=pendulum input=chirp input.t1=1 input.f1=2", 2, "frequency at the last time"),
        ("model=pendulum input=sine input.hold=cubc", 2, "did you mean 'cubic'?"),
        ("model=pendulum input=sine input.frequency=99", 2, "input.frequency: expected above 0"),
        ("integrator=velocity_verlet", 2, "velocity_verlet cannot step this model"),
        ("model._target_=sim.models.lorentz.model", 2, "did you mean 'lorenz'?"),
        ("model._target_=mine.rocket.model", 2, "If it is yours, name its package: allow=[mine]"),
        ("experiment=cascaded_tanks", 2, "nonlinearbenchmark.org"),
        ("experiment=cascaded_tanks input.path=/", 4, "/ (it is a folder)"),
        ("experiment=cascaded_tanks input.path=no.csv", 4, "no such file"),
        (
            "estimator=local_level",
            2,
            "estimator: expected none for task=simulate, which takes model",
        ),
        ("experiment=nile model=lorenz", 2, "model: expected none for task=estimate"),
        ("task=estimate", 2, "estimator: expected one for task=estimate, got nothing"),
        ("task=estimate estimator=local_level", 2, "input: expected observations to estimate from"),
        ("experiment=nile input=sine", 2, "got sim.signals.sine, which drives a simulation"),
        ("experiment=nile substeps=2", 2, "substeps: expected 1 in an estimate, got 2"),
        ("experiment=nile duration=200", 2, "duration: expected at most 99"),
        ("experiment=nile output.keep=[men]", 2, "output.keep[0]: expected one of mean, sd"),
        ("experiment=nile output.phase=[a,b]", 2, "output.phase: expected null for task=estimate"),
        ("output.keep=[mean]", 2, "output.keep: expected null for task=simulate"),
        ("experiment=nile estimator.sigma2_eps=-1", 2, "estimator.sigma2_eps: expected a variance"),
        ("experiment=nile estimator.sigma2=1", 2, "did you mean 'estimator.sigma2_e"),
        ("experiment=nile estimator=locallevel", 2, "did you mean 'local_level'?"),
        (
            "experiment=nile estimator=lidar_radar",
            2,
            "y: expected 5 columns for lidar_radar, got 1",
        ),
        (
            "experiment=nile input.values=[[1,2],[3]]",
            2,
            "input.values: expected numbers in rows of one",
        ),
        ("experiment=pendulum_estimate", 2, "github.com/EEA-sensors"),
        ("experiment=lidar_radar", 2, "github.com/udacity"),
        ("experiment=lidar_radar input.path=no.txt", 4, "no such file"),
        ("task=filter", 2, "design: expected one for task=filter, got nothing"),
        ("experiment=lowpass", 2, "design.cutoff: expected a value, got nothing"),
        ("experiment=lowpass design.cutoff=1", 2, "input.path: this run needs a recorded file."),
        (
            "experiment=lowpass design.cutoff=1 input=none",
            2,
            "input: expected a record to filter, such as",
        ),
        ("experiment=lowpass design.cutoff=1 input=sine", 2, "got sim.signals.sine, which drives"),
        (
            "experiment=lowpass design.cutoff=1 model=lorenz",
            2,
            "expected none for task=filter, which takes",
        ),
        ("experiment=lowpass design=buter", 2, "did you mean 'butter'?"),
        ("experiment=lowpass design.cutof=1", 2, "did you mean 'design.cutoff'?"),
        (
            "experiment=lowpass gap=fill design.cutoff=1",
            2,
            "gap: expected one of raise, hold, propagate",
        ),
        (
            "experiment=lowpass output.keep=[mean] design.cutoff=1",
            2,
            "output.keep: expected null for task=filter",
        ),
        ("zero_phase=true", 2, "zero_phase: expected false for task=simulate, got true"),
        ("experiment=nile gap=hold", 2, "gap: expected raise for task=estimate, got hold"),
        (
            "experiment=lowpass input=nile design.cutoff=0.5",
            2,
            "design.cutoff: expected above 0 and below 0.5 year-1, half the sampling rate, got 0.5",
        ),
        (
            "experiment=lowpass input=nile design.cutoff=high",
            2,
            "design.cutoff: expected a finite number or",
        ),
        ("experiment=lowpass input=nile design.cutoff=[0.1,0.2]", 2, "design.cutoff: Must specify"),
        (
            "experiment=lowpass input=nile design=bandpass design.cutoff=0.1",
            2,
            "unknown option 'bandpass'",
        ),
        (
            "experiment=lowpass input=nile design.cutoff=0.1 substeps=2",
            2,
            "substeps: expected 1 in a filter",
        ),
        (
            "task=filter design=own design.cutoff=0.1 input=nile dt=null duration=null "
            "design._target_=filters.iir.design.biquad_peaking",
            2,
            "scansim: design: biquad_peaking(w0, Q, gain, fs): missing a required argument: 'Q'",
        ),
        (
            "task=filter design.cutoff=0.1 design.Q=2 design.gain=6 design.order=2 input=nile "
            "dt=null duration=null design._target_=filters.iir.design.biquad_peaking",
            2,
            "unexpected keyword argument 'N'",
        ),
        ("resume=nowhere", 4, "nowhere is not the directory of a run"),
        ("resume=nowhere dt=1", 2, "remove dt=1"),
    ],
)
def test_a_mistake_is_one_or_two_lines_and_leaves_nothing(scansim, tmp_path, argv, code, message):
    got, out, err = scansim(*argv.split())
    assert (got, out) == (code, "")
    assert message in err
    assert err.startswith("scansim: ") and len(err.splitlines()) <= 2
    assert not list(tmp_path.iterdir())


def test_a_file_cannot_allow_a_package(scansim, tmp_path):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    recipe = "# @package _global_\nallow: [os]\nmodel: {_target_: os.getcwd}\n"
    (tmp_path / "conf" / "experiment" / "sly.yaml").write_text(recipe)
    code, _, err = scansim("--config-dir=conf", "experiment=sly")
    assert code == 2
    assert "allow: may be set only on the command line" in err


def test_help_names_every_task_and_option(scansim):
    code, out, _ = scansim("--help")
    assert code == 0
    groups = {group for task in project_tasks().values() for group in task.all_groups}
    for group in ("experiment", "output", "runtime", *groups):
        for name in os.listdir(os.path.join(ROOT, "conf", group)):
            assert f" {name.removesuffix('.yaml')} " in out
    for name, task in project_tasks().items():
        assert f" {name} " in out and task.summary in out
    assert max(map(len, out.splitlines())) <= 100
