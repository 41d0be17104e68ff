"""The flag that keeps loops native: set on import, never over the user's own."""

import os
import subprocess
import sys

import pytest

from sim import xla

FLAG = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1048576"


def test_adds_to_what_is_there_and_gives_way_to_the_user(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    xla.keep_loops_native()
    assert os.environ["XLA_FLAGS"] == f"--xla_force_host_platform_device_count=2 {FLAG}"
    xla.keep_loops_native()
    assert os.environ["XLA_FLAGS"].count("xla_backend_extra_options") == 1
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_extra_options=xla_cpu_optimize_for_size=true")
    xla.keep_loops_native()
    assert "small_while" not in os.environ["XLA_FLAGS"]


def test_an_unknown_jaxlib_is_left_alone(monkeypatch):
    monkeypatch.setattr(xla, "jaxlib_version", "0.99.0")
    monkeypatch.setenv("XLA_FLAGS", "")
    xla.keep_loops_native()
    assert os.environ["XLA_FLAGS"] == ""


@pytest.mark.parametrize("native", [True, False])
def test_the_gradient_of_a_step_is_one_native_loop(native):
    # The threshold decides whether the loop becomes a call of its own.
    program = (
        "import os, sys; sys.argv[1] == 'native' or os.environ.update(XLA_FLAGS="
        "'--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1024');"
        "import sim, jax; jax.config.update('jax_enable_x64', True); import jax.numpy as jnp;"
        "step = lambda c, x: (jnp.sin(c) * 1.1 + jnp.roll(c, 1), None);"
        "f = jax.grad(lambda c: sim.rollout(step, c, length=50)[0].sum());"
        "print('small_call' in jax.jit(f).lower(jnp.ones(99)).compile().as_text())"
    )
    mode = "native" if native else "default"
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", program, mode], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(native), done.stderr
