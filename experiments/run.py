"""The command line: ``scansim [group=option] [key=value] ...`` or ``python -m experiments.run``.

One Hydra application over the groups of ``conf/``. Hydra composes the configuration;
this file turns what happened into one clear line and an exit code.
"""

import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from experiments.cli.overrides import complete_overrides, parse_overrides
from experiments.cli.provenance import ROOT
from experiments.cli.targets import with_current_targets

CONF = ROOT / "conf"


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the arguments say, and exit with its code."""
    # Small factorisations gain nothing by threads, and lose all where they wait for a core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except BrokenPipeError:  # `scansim --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 4
    except KeyboardInterrupt:  # before a run had begun
        code = 130
    sys.exit(code)


def run(argv: Sequence[str]) -> int:
    """The exit code of one command: 0 done, 2 wrong configuration, 3 diverged,
    4 input or output, 5 a search's loss turned non-finite (its last good place is kept),
    75 stopped but resumable, 130 interrupted."""
    argv = list(argv)
    if {"-h", "--help"} & set(argv):
        from experiments.cli.help import help_text

        print(help_text(CONF))
        return 0
    if "--version" in argv:
        from experiments.cli.provenance import version

        print(f"scansim {version()}")
        return 0
    try:
        # Flags first: argparse takes overrides in one place only.
        argv.sort(key=lambda argument: "=" in argument and not argument.startswith("-"))
        _check_flags(argv)
        argv = complete_overrides(argv, CONF)
    except ValueError as error:
        print_error(str(error))
        return 2
    return _run_hydra(argv)


def _check_flags(argv: Sequence[str]) -> None:
    """Raise ValueError unless Hydra's own parser takes the flags; it would print its usage."""
    if not any(argument.startswith("-") for argument in argv):
        return
    from hydra._internal.utils import get_args_parser

    def raise_error(message: str) -> NoReturn:
        raise ValueError(f"{message}; scansim --help lists the flags")

    parser = get_args_parser()
    parser.error = raise_error
    parser.parse_args(argv)


def _run_hydra(argv) -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and the answer is given here
    if "COMP_LINE" in os.environ:
        line = re.sub(r"^\S*python\S* +-m +experiments\.run", "scansim", os.environ["COMP_LINE"])
        os.environ["COMP_LINE"] = line
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    codes = []

    def job(config):
        settings = HydraConfig.get()
        overrides = list(settings.overrides.task)
        if settings.mode.name == "MULTIRUN":
            print(f"#{settings.job.num}  {' '.join(overrides)}", flush=True)
        out = Path(settings.runtime.output_dir)
        folder = None if out == Path.cwd() else out
        codes.append(exit_code_of(lambda: _run_job(config, overrides, folder)))
        if codes[-1] in (75, 130):  # a signal ends a sweep too
            raise KeyboardInterrupt

    before = sys.argv
    sys.argv = [before[0], *argv]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()
    except HydraException as error:
        from experiments.cli.hydra_errors import describe_hydra_error

        print_error(describe_hydra_error(error, argv))
        return 2
    except OmegaConfBaseException as error:
        print_error(str(error).splitlines()[0])
        return 2
    except (ValueError, KeyError) as error:  # Hydra's own flags
        print_error(str(error))
        return 2
    except KeyboardInterrupt:
        return codes[-1] if codes and codes[-1] in (75, 130) else 130
    finally:
        sys.argv = before
    return max(codes, default=0)


def _run_job(config, overrides, folder) -> int:
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    from experiments.cli.recipes import replace_pieces

    try:
        replace_pieces(config, overrides)
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        values = with_current_targets(values)
    except HydraException as error:
        from experiments.cli.hydra_errors import describe_hydra_error

        raise ValueError(describe_hydra_error(error, overrides)) from None
    except MissingMandatoryValue as error:
        raise ValueError(f"{error.full_key}: expected a value, got nothing") from None
    except OmegaConfBaseException as error:
        raise ValueError(str(error).splitlines()[0]) from None
    given = parse_overrides(overrides)
    if values.get("allow") and "allow" not in {override.key for override in given}:
        raise ValueError("allow: may be set only on the command line, got it from a file")
    from experiments.runs import lifecycle

    if values.get("resume"):
        extra = [override for override in given if override.key not in ("resume", "allow")]
        if extra:
            raise ValueError(
                "resume: a run goes on with its stored configuration; "
                f"remove {extra[0].key}={extra[0].value}"
            )
        return lifecycle.resume(values["resume"], values["allow"])
    return lifecycle.start(values, overrides, folder)


def exit_code_of(call: Callable[[], int]) -> int:
    """The exit code of a run; a mistake of the user's becomes a line on stderr."""
    try:
        return call()
    except ValueError as error:
        print_error(str(error))
        return 2
    except OSError as error:
        print_error(f"{error.strerror}: {error.filename}" if error.filename else str(error))
        return 4
    except KeyboardInterrupt:
        print_error("interrupted")
        return 130
    except Exception as error:
        logged = [note for note in getattr(error, "__notes__", ()) if "run.log" in note]
        first = next(iter(str(error).splitlines()), "")
        print_error(
            f"{type(error).__name__}: {first} {(logged or [_where_raised(error)])[-1].strip()}"
        )
        return 1


def _where_raised(error) -> str:
    """The line of the last code of the project's or the user's that raised."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "site-packages" not in f.filename] or frames
    return f"({ours[-1].filename}:{ours[-1].lineno})"


def print_error(message: str) -> None:
    """One or two lines on stderr."""
    lines = [line.strip() for line in message.strip().splitlines()]
    print("scansim: " + "\n         ".join(lines), file=sys.stderr)


if __name__ == "__main__":
    main()
