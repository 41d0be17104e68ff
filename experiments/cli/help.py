"""What ``scansim --help`` says, read from the configuration files so that it stays true."""

from pathlib import Path

HEAD = """\
scansim: physics and signal simulation; every run is one compiled scan.

Usage:  scansim [GROUP=OPTION ...] [KEY=VALUE ...]
  scansim                                              the Lorenz system: a file, a figure
  scansim experiment=pendulum_driven                   a whole recipe
  scansim model=duffing input=chirp model.params.damping=0.1 duration=200
  scansim experiment=cascaded_tanks input.path=FILE.csv
  scansim experiment=nile                              filter and smooth a record
  scansim experiment=nile update=student_t forecast=20 so that outliers count little, and on
  scansim task=estimate estimator=linear input=observations input.path=FILE.csv dt=null duration=null
  scansim experiment=lowpass input.path=FILE.csv design.cutoff=10   filter a record, without delay
  scansim experiment=lowpass input.path=FILE.nc design=iirnotch design.cutoff=50 zero_phase=false
  scansim task=fit model=duffing data.path=FILE.csv data.input=u data.output=y   parameters from a record
  scansim experiment=cascaded_tanks_fit data.path=FILE.csv data.test_path=FILE.csv   a benchmark, scored
  scansim task=learn network=gru data.path=FILE.csv data.input=u data.output=y   a network from a record
  scansim -m integrator=rk4,heun dt=0.01,0.005         a sweep: every combination
  scansim resume=runs/simulate/20260101-120000-1a2b3c  go on with a stopped run
"""

TAIL = """\
Your own pieces, from a package in this folder:
  scansim allow=[mymodels] model._target_=mymodels.rocket.model model.params.thrust=3

Results: runs/<task>/<date-time>-<6 hex>/, never overwritten; output.dir=FOLDER names another.
  trajectory.nc   states, estimates, signals (NetCDF) trajectory.png  the figure
  fit.nc          parameters, residuals, … of a fit   report.html     all of it, to be read
  learn.nc        the same of a training              network.nc      the trained network
  run.json        status, versions, timings           run.log         what happened
  .hydra/         the configuration                   checkpoints/    to resume from

Exit codes: 0 done, 2 wrong configuration, 3 diverged (partial output kept), 4 input or output,
  5 a fit or a training ended early, its loss no longer finite (the last good parameters, all files kept),
  75 stopped but resumable (SIGTERM), 130 interrupted (Ctrl-C; resumable),
  1 an error inside a piece's own code.

Flags: -m sweep, --cfg job show the configuration, --version, --info, --hydra-help.
Completion: eval "$(scansim -sc install=bash)"   (or zsh, fish)"""


def help_text(conf: Path) -> str:
    """The help, with every group's options and every key of the top level."""
    parts = [HEAD, "Groups (* is the default):"]
    defaults = _defaults(conf)
    for group in (
        "experiment",
        "model",
        "integrator",
        "estimator",
        "update",
        "design",
        "data",
        "fit",
        "network",
        "learn",
        "input",
        "output",
        "runtime",
    ):
        files = sorted((conf / group).glob("*.yaml"))
        width = max(len(f.stem) for f in files) + 1
        parts.append(f"  {group}")
        for file in files:
            mark = "*" if defaults.get(group) == file.stem else " "
            parts.append(f"   {mark} {file.stem:<{width}} {_about(file)}")
    parts += ["", "Keys of every run, with their defaults (--cfg job shows the groups' keys too):"]
    parts += [f"  {line}" for line in _keys(conf)]
    return "\n".join([*parts, "", TAIL])


def _about(file) -> str:
    """The first line of comment in a file, other than Hydra's own."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ") and not line.startswith("# @"):
            return line[2:]
    return ""


def _defaults(conf) -> dict[str, str]:
    text = (conf / "config.yaml").read_text(encoding="utf-8")
    pairs = [line.strip()[2:].split(": ") for line in text.splitlines() if line.startswith("  - ")]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _keys(conf) -> list[str]:
    text = (conf / "config.yaml").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line[:1].isalpha() and line.split(":")[1].strip()]
