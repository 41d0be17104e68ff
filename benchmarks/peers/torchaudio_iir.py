"""torchaudio's `lfilter`, one section after the other."""

import torch
import torchaudio.functional


def build_filter(sos, x):
    rows, x = torch.from_numpy(sos), torch.from_numpy(x)

    def run():
        y = x
        for row in rows:
            y = torchaudio.functional.lfilter(y, row[3:], row[:3], clamp=False)
        return y.numpy()

    return run
