"""The classic Runge-Kutta loops in numba, each state variable a scalar or an array."""

import numba
import numpy as np

# Contraction into fused multiply-adds is what XLA does too; nothing else is relaxed.
jit = numba.njit(fastmath={"contract"})


@jit
def _lorenz(p, x, y, z):
    sigma, rho, beta = p
    return sigma * (y - x), x * (rho - z) - y, x * y - beta * z


@jit
def _lorenz_step(p, x, y, z, dt):
    h = 0.5 * dt
    a, b, c = _lorenz(p, x, y, z)
    d, e, f = _lorenz(p, x + h * a, y + h * b, z + h * c)
    g, i, j = _lorenz(p, x + h * d, y + h * e, z + h * f)
    k, m, n = _lorenz(p, x + dt * g, y + dt * i, z + dt * j)
    w = dt / 6
    x = x + w * (a + 2 * d + 2 * g + k)
    y = y + w * (b + 2 * e + 2 * i + m)
    z = z + w * (c + 2 * f + 2 * j + n)
    return x, y, z


@jit
def lorenz(p, y0, dt, steps):
    """(steps, 3): one trajectory."""
    out = np.empty((steps, 3))
    x, y, z = y0
    for k in range(steps):
        x, y, z = _lorenz_step(p, x, y, z, dt)
        out[k, 0] = x
        out[k, 1] = y
        out[k, 2] = z
    return out


@jit
def lorenz_by_member(p, y0, dt, steps, saved):
    """(3, saved, members), the last states saved: trajectory after trajectory."""
    out = np.empty((y0.shape[1], saved, 3))
    for i in range(y0.shape[1]):
        x, y, z = y0[0, i], y0[1, i], y0[2, i]
        for k in range(steps):
            x, y, z = _lorenz_step(p, x, y, z, dt)
            if k >= steps - saved:
                out[i, k - (steps - saved), 0] = x
                out[i, k - (steps - saved), 1] = y
                out[i, k - (steps - saved), 2] = z
    return out.transpose(2, 1, 0)


@jit
def lorenz_by_step(p, y0, dt, steps, saved):
    """(3, saved, members), the last states saved: all members one step, then the next."""
    members = y0.shape[1]
    out = np.empty((3, saved, members))
    x, y, z = y0[0].copy(), y0[1].copy(), y0[2].copy()
    for k in range(steps):
        for i in range(members):
            x[i], y[i], z[i] = _lorenz_step(p, x[i], y[i], z[i], dt)
        if k >= steps - saved:
            out[0, k - (steps - saved)] = x
            out[1, k - (steps - saved)] = y
            out[2, k - (steps - saved)] = z
    return out


@jit
def _chain(p, x, v, a):
    """Accelerations; x and v carry the two walls as zeros at their ends."""
    mass, damping, stiffness = p
    for i in range(1, x.size - 1):
        spring = x[i + 1] - 2 * x[i] + x[i - 1]
        damper = v[i + 1] - 2 * v[i] + v[i - 1]
        a[i] = (stiffness * spring + damping * damper) / mass


@jit
def chain(p, position, velocity, dt, steps):
    """(2, steps, n): positions and velocities of a uniform chain."""
    n = position.size
    out = np.empty((2, steps, n))
    x, v, xs, vs = np.zeros(n + 2), np.zeros(n + 2), np.zeros(n + 2), np.zeros(n + 2)
    a, dx, dv = np.zeros(n + 2), np.zeros(n + 2), np.zeros(n + 2)
    x[1:-1], v[1:-1] = position, velocity
    for k in range(steps):
        _chain(p, x, v, a)
        for i in range(1, n + 1):
            dx[i], dv[i] = v[i], a[i]
            xs[i], vs[i] = x[i] + 0.5 * dt * v[i], v[i] + 0.5 * dt * a[i]
        for h in (0.5 * dt, dt):
            _chain(p, xs, vs, a)
            for i in range(1, n + 1):
                dx[i] += 2 * vs[i]
                dv[i] += 2 * a[i]
                xs[i], vs[i] = x[i] + h * vs[i], v[i] + h * a[i]
        _chain(p, xs, vs, a)
        for i in range(1, n + 1):
            x[i] += dt / 6 * (dx[i] + vs[i])
            v[i] += dt / 6 * (dv[i] + a[i])
            out[0, k, i - 1] = x[i]
            out[1, k, i - 1] = v[i]
    return out
