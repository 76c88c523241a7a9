"""Records llama.cpp's logits for the small files: `python tests/recorded/llama_logits.py [CASE ...]`, with xllamacpp installed.

The cases stand in `tests/llama_cases.py`; those named are recorded anew, without names all, each into a file of its own. The
small files are float32, as is the cache, and attention is computed step by step (no flash attention), so that rounding is that
of float32. A process for each case: what the library cannot run ends it.
"""

import ctypes
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf_models import ContextParams, ModelParams

sys.path.insert(0, str(Path(__file__).parents[1]))

import llama_cases

N_CTX, N_BATCH, N_UBATCH, N_SEQUENCES = 0, 1, 2, 3  # words of llama_context_params of b11549
N_THREADS, N_THREADS_BATCH, FLASH_ATTENTION, TYPE_K, TYPE_V = 7, 8, 13, 26, 27
F32 = 0  # of ggml_type


class Batch(ctypes.Structure):
    """llama_batch."""

    _fields_ = (
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.c_void_p),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    )


def library():
    """llama.cpp inside of xllamacpp, with what is called here."""
    import xllamacpp

    lib = ctypes.CDLL(str(next(Path(xllamacpp.__file__).parent.glob("*.so"))))
    pointer = ctypes.c_void_p
    signatures = {
        "llama_model_default_params": ((), ModelParams),
        "llama_context_default_params": ((), ContextParams),
        "llama_model_load_from_file": ((ctypes.c_char_p, ModelParams), pointer),
        "llama_init_from_model": ((pointer, ContextParams), pointer),
        "llama_model_get_vocab": ((pointer,), pointer),
        "llama_vocab_n_tokens": ((pointer,), ctypes.c_int32),
        "llama_batch_init": ((ctypes.c_int32,) * 3, Batch),
        "llama_decode": ((pointer, Batch), ctypes.c_int32),
        "llama_get_logits_ith": ((pointer, ctypes.c_int32), ctypes.POINTER(ctypes.c_float)),
    }
    for name, (arguments, result) in signatures.items():
        function = getattr(lib, name)
        function.argtypes, function.restype = arguments, result
    lib.ggml_backend_load_all()
    return lib


def logits_of(path, tokens) -> np.ndarray:
    """Logits [tokens, vocab] after each token: the first half as a prompt, the others one by one."""
    lib = library()
    params = lib.llama_model_default_params()
    params.n_gpu_layers = 0
    model = lib.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        sys.exit("llama.cpp does not load the file; its log above says why")
    params, n = lib.llama_context_default_params(), len(tokens)
    for word, value in (
        (N_CTX, 256), (N_BATCH, 64), (N_UBATCH, 64), (N_SEQUENCES, 1), (N_THREADS, 1), (N_THREADS_BATCH, 1),
        (FLASH_ATTENTION, 0), (TYPE_K, F32), (TYPE_V, F32),
    ):  # fmt: skip
        params.words[word] = value
    context = lib.llama_init_from_model(model, params)
    if not context:
        sys.exit("llama.cpp does not run the file; its log above says why")
    vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    found = []
    for first, count in ((0, n // 2), *((at, 1) for at in range(n // 2, n))):
        batch = lib.llama_batch_init(count, 0, 1)
        batch.n_tokens = count
        for i in range(count):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = tokens[first + i], first + i, 1
            batch.seq_id[i][0], batch.logits[i] = 0, 1
        if lib.llama_decode(context, batch):
            sys.exit("llama.cpp does not decode the tokens; its log above says why")
        found += [np.array(lib.llama_get_logits_ith(context, i)[:vocab], np.float32) for i in range(count)]
    return np.array(found)


def record(name, folder) -> None:
    """Records a case, by a process of its own."""
    import xllamacpp

    path, out = llama_cases.write(name, folder), folder / "logits.npy"
    command = [sys.executable, __file__, "--one", str(path), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300, check=False)
    if done.returncode:
        sys.exit(f"{name}: exit status {done.returncode}\n{done.stderr[-3000:]}")
    logits, made_by = np.load(out), f"llama.cpp in xllamacpp {xllamacpp.__version__}"
    np.savez_compressed(
        llama_cases.RECORDS / f"{name}.npz", logits=logits, digest=llama_cases.digest(path), made_by=made_by
    )
    print(name, logits.shape, f"spread {logits.std():.3g}", flush=True)


def main(names) -> None:
    """Records the cases named, or all."""
    llama_cases.RECORDS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in names or llama_cases.CASES:
            record(name, Path(folder))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        np.save(sys.argv[3], logits_of(sys.argv[2], llama_cases.TOKENS))
    else:
        main(sys.argv[1:])
