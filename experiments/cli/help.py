"""The text of ``scansim --help``, from the configuration files and the records of the tasks."""

from collections.abc import Iterator
from pathlib import Path

from experiments.cli.tasks import Task, project_tasks

HEAD = """\
scansim: physics and signal simulation; every run is one compiled scan.

Usage:  scansim [GROUP=OPTION ...] [KEY=VALUE ...]

  # Simulate a model: the Lorenz system, a recipe, any model and input, a recorded input.
  scansim
  scansim experiment=pendulum_driven
  scansim model=duffing input=chirp model.params.damping=0.1 duration=200
  scansim experiment=cascaded_tanks input.path=FILE.csv

  # Filter and smooth observations; then robust to outliers, with a forecast; then a file.
  scansim experiment=nile
  scansim experiment=nile update=student_t forecast=20
  scansim task=estimate estimator=linear input=observations input.path=FILE.csv dt=null \\
          duration=null

  # Filter a signal: a low-pass without delay, then a causal notch at 50 Hz.
  scansim experiment=lowpass input.path=FILE.csv design.cutoff=10
  scansim experiment=lowpass input.path=FILE.nc design=iirnotch design.cutoff=50 zero_phase=false

  # Fit the parameters of a model to a record; then a benchmark with its test record.
  scansim task=fit model=duffing data.path=FILE.csv data.input=u data.output=y
  scansim experiment=cascaded_tanks_fit data.path=FILE.csv data.test_path=FILE.csv

  # Train a network on a record.
  scansim task=learn network=gru data.path=FILE.csv data.input=u data.output=y

  # Run every combination of some values; continue a stopped run.
  scansim -m integrator=rk4,heun dt=0.01,0.005
  scansim resume=runs/simulate/20260101-120000-1a2b3c
"""

TAIL = """\
Your own pieces and tasks, from a package in the current folder:
  scansim allow=[mymodels] model._target_=mymodels.rocket.model model.params.thrust=3
  scansim allow=[mytasks] task=mytasks.count

Results: runs/<task>/<date-time>-<6 hex>/, never overwritten; output.dir=FOLDER names another.
  trajectory.nc   states, estimates, signals      trajectory.png  the figure
  fit.nc          parameters and residuals        report.html     the report of a fit or a training
  learn.nc        the same of a training          network.nc      the trained network
  run.json        status, versions, timings       run.log         the log
  .hydra/         the configuration               checkpoints/    what resume= reads

Exit codes:
    0  done
    1  an error in the code of a piece; run.log has the traceback
    2  wrong configuration
    3  the run diverged; what came before is kept
    4  a file cannot be read or written
    5  the loss of a fit or a training is not finite; its best parameters are kept
   75  stopped by SIGTERM; continue with resume=
  130  interrupted by Ctrl-C; continue with resume=

Flags: -m sweep, --cfg job show the configuration, --version, --info, --hydra-help.
Completion: eval "$(scansim -sc install=bash)"   (or zsh, fish)"""


def help_text(conf: Path) -> str:
    """The help: examples, tasks, options of every group, and keys of the top level."""
    text = (conf / "config.yaml").read_text(encoding="utf-8")
    defaults = _default_options(text)
    folders = sorted({path.parent.name for path in conf.glob("*/*.yaml")})
    order = dict.fromkeys(["experiment", *defaults, *folders])
    groups = [group for group in order if group in folders]
    lines = [HEAD, "Tasks (task=NAME), the groups each uses, and its own keys:"]
    lines += [line for name, task in project_tasks().items() for line in _task_lines(name, task)]
    lines += ["", "Groups (* is the default):"]
    for group in groups:
        lines += _group_lines(conf / group, defaults.get(group))
    lines += ["", "Keys of every run, with their defaults (--cfg job shows the groups' keys too):"]
    lines += [f"  {line}" for line in text.splitlines() if _is_key(line)]
    return "\n".join([*lines, "", TAIL])


def _task_lines(name: str, task: Task) -> Iterator[str]:
    keys = [f"{key}={default}".lower() for key, default in task.defaults.items()]
    yield f"    {name:<9} {task.summary}"
    yield f"    {'':<9}   {', '.join(task.all_groups)}{'; ' * bool(keys)}{', '.join(keys)}"


def _group_lines(folder: Path, default: str | None) -> Iterator[str]:
    files = sorted(folder.glob("*.yaml"))
    width = max(len(file.stem) for file in files) + 1
    yield f"  {folder.name}"
    for file in files:
        yield f"   {'*' if file.stem == default else ' '} {file.stem:<{width}} {_about(file)}"


def _about(file: Path) -> str:
    """The first comment of a file, other than Hydra's own."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and not line.startswith("# @"):
            return line[2:]
    return ""


def _default_options(text: str) -> dict[str, str]:
    """The option of every group that a run takes by default."""
    pairs = [line.strip()[2:].split(": ") for line in text.splitlines() if line.startswith("  - ")]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _is_key(line: str) -> bool:
    """Whether a line of the configuration is a key of the top level with its default."""
    return line[:1].isalpha() and bool(line.split(":")[1].strip())
