"""A plugin for real workers, and requests of its indicators."""

import os
from typing import Any
from uuid import UUID

from tests.engine.indicators.distributions import ROOT, Folder
from tests.faults.harness import Stack

DECLARED = """
from engine.indicators.declaration import Indicator, Output, window

INDICATORS = tuple(
    Indicator(
        id=f"{plugin}.{kernel}",
        inputs=("open", "close"),
        params=(window(),),
        outputs=(Output("signal", "planes", ("window",)),),
        kernel=f"{plugin}_indicators.kernels:{kernel}",
        description="Signals.",
        formula="a formula",
    )
    for kernel in {kernels}
)
"""

KERNELS = """
import os
import signal
import numpy as np
from numba import njit

@njit(nogil=True, error_model="numpy")
def body(inputs, params, output, out):
    for p in range(out.shape[0]):
        for t in range(int(params[p, 0]), out.shape[1]):
            out[p, t] = np.sign(inputs[1][t] - inputs[0][t - int(params[p, 0])])

@njit(nogil=True, error_model="numpy")
def strange(inputs, params, output, out):
    out[:, 7] = 55

@njit(nogil=True, error_model="numpy")
def beyond(inputs, params, output, out):
    flat = out.reshape(out.size)
    for t in range(out.size + 1):
        flat[t] = 1

@njit(nogil=True, error_model="numpy")
def uncompilable(inputs, params, output, out):
    out[0, 0] = inputs.nothing()

@njit(nogil=True, error_model="numpy")
def raises(inputs, params, output, out):
    if params[params.shape[0] - 1, 0] > 6:
        raise ValueError("no more than 6")

def dies(inputs, params, output, out):
    os.kill(os.getpid(), signal.SIGSEGV)
"""


def install(folder: Folder, name: str, *kernels: str, source: str = KERNELS) -> None:
    """Install a plugin with some of these kernels, or replace it."""
    declared = DECLARED.replace("{plugin}", name).replace("{kernels}", str(kernels))
    folder.install(name, source=declared, kernels=source)


def beside(folder: Folder) -> dict[str, str]:
    """Return the environment of a program that finds the plugins of a folder."""
    return {"PYTHONPATH": os.pathsep.join((str(folder.path), str(ROOT)))}


def submit(stack: Stack, folder: Folder, document: dict[str, Any], indicator_id: str) -> UUID:
    """Submit a request with signals of a plugin in the place of its first block."""
    windows = {"mode": "range", "start": 2, "stop_incl": 8, "step": 1}
    block = {"indicator_id": indicator_id, "params": {"window": windows}}
    document["template"]["indicator_grids"][0] = block
    with folder.imported():  # this process has to know the plugin, too
        return stack.submit(document)
