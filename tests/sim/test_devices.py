"""Nothing knows its device: an ensemble sharded over two forced host devices is the same."""

import os
import subprocess
import sys

PROGRAM = """
import sim, jax, numpy as np
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
from integrators import rk4
from sim.models import lorenz
assert jax.device_count() == 2, jax.devices()
stepper = rk4(lorenz.model().field, 0.01)
run = jax.jit(jax.vmap(lambda y: sim.rollout(stepper.step, stepper.init(y), length=20)[1]))
y0 = lorenz.State(*jnp.linspace(1.0, 2.0, 24).reshape(3, 8))
over = NamedSharding(jax.make_mesh((2,), ("member",)), PartitionSpec("member"))
ys = run(jax.device_put(y0, over))
assert len(ys.x.sharding.device_set) == 2
for a, b in zip(ys, run(y0)):
    np.testing.assert_allclose(a, b, rtol=1e-12)
"""


def test_an_ensemble_over_two_devices():
    flags = "--xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
