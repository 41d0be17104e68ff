"""The command line: ``scansim [group=option] [key=value] ...`` or ``python -m experiments.run``.

One Hydra application over the groups of ``conf/``: Hydra composes the configuration, and
`experiments.runs.lifecycle` runs the task that it names.
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from experiments.cli.errors import exit_code_of, print_error
from experiments.cli.exit_codes import ExitCode
from experiments.cli.overrides import complete_overrides, parse_overrides
from experiments.cli.provenance import ROOT
from experiments.cli.targets import with_current_targets

CONF = ROOT / "conf"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the arguments give, and exit with its code."""
    # Threads gain nothing in small factorisations, and cost much where they wait for a core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        code = run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except BrokenPipeError:  # `scansim --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.FILES
    except KeyboardInterrupt:  # before a run had begun
        code = ExitCode.INTERRUPTED
    sys.exit(code)


def run(argv: Sequence[str]) -> int:
    """Run one command; its `ExitCode`, of a sweep the largest."""
    argv = list(argv)
    if {"-h", "--help"} & set(argv):
        from experiments.cli.help import help_text

        print(help_text(CONF))
        return ExitCode.DONE
    if "--version" in argv:
        from experiments.cli.provenance import version

        print(f"scansim {version()}")
        return ExitCode.DONE
    # Flags first: argparse takes overrides in one place only.
    argv.sort(key=lambda argument: "=" in argument and not argument.startswith("-"))

    def compose_and_run() -> int:
        _check_flags(argv)
        return _run_hydra(complete_overrides(argv, CONF))

    return exit_code_of(compose_and_run)


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


def _run_hydra(argv: Sequence[str]) -> int:
    """Compose the configuration of the command, of a sweep each, and run it."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises, and the answer is given here
    if "COMP_LINE" in os.environ:
        line = re.sub(r"^\S*python\S* +-m +experiments\.run", "scansim", os.environ["COMP_LINE"])
        os.environ["COMP_LINE"] = line
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    codes, by_signal = [], (ExitCode.STOPPED, ExitCode.INTERRUPTED)

    def job(config):
        settings = HydraConfig.get()
        overrides = list(settings.overrides.task)
        if settings.mode.name == "MULTIRUN":
            print(f"#{settings.job.num}  {' '.join(overrides)}", flush=True)
        out = Path(settings.runtime.output_dir)
        folder = None if out == Path.cwd() else out
        codes.append(exit_code_of(lambda: _run_job(config, overrides, folder)))
        if codes[-1] in by_signal:  # a signal ends a sweep too
            raise KeyboardInterrupt

    before = sys.argv
    sys.argv = [before[0], *argv]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()
    except (HydraException, OmegaConfBaseException) as error:
        print_error(_describe(error, argv))
        return ExitCode.CONFIGURATION
    except (ValueError, KeyError) as error:  # Hydra's own flags
        print_error(str(error))
        return ExitCode.CONFIGURATION
    except KeyboardInterrupt:
        return codes[-1] if codes and codes[-1] in by_signal else ExitCode.INTERRUPTED
    finally:
        sys.argv = before
    return max(codes, default=ExitCode.DONE)


def _run_job(config: Any, overrides: Sequence[str], folder: Path | None) -> int:
    """Run or resume what one composed configuration says; its exit code."""
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from experiments.cli.recipes import replace_pieces

    try:
        replace_pieces(config, overrides)
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        values = with_current_targets(values)
    except (HydraException, OmegaConfBaseException) as error:
        raise ValueError(_describe(error, overrides)) from None
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


def _describe(error: Exception, argv: Sequence[str]) -> str:
    from experiments.cli.hydra_errors import describe_hydra_error

    return describe_hydra_error(error, argv)


if __name__ == "__main__":
    main()
