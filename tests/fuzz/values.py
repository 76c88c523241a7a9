"""What is put in the place of a value, of a word after an option, and of a length."""

HUGE = str(10**400)
NUMBERS = [
    "0", "1", "-1", "2", "3", "0.5", "-0.0", "1.5", "1e1", "1e308", "-1e308", "1e-308", "5e-324", "1e400", "1e6", "1e9",
    "2147483648", "9223372036854775808", "18446744073709551616", "-9223372036854775809", HUGE, "9" * 5000,
    "100000", "1000000", "10000000", "10000001",
]  # fmt: skip
PLAUSIBLE = ["1", "2", "3", "7", "16", "255", "1024", "99999", "0.001", "0.25", "0.999999", "1e-6", "1e3", "1e9"]
YAML_VALUES = [
    *NUMBERS, "", "~", "null", "true", "no", ".inf", "-.inf", ".nan", "[]", "{}", "[1, 2]", "{a: b}", "[[[[[[]]]]]]",
    "17 GB/s", "1_000", "1:30", "0x" + "f" * 5000, "0b1", "0o7", "x", "x" * 5000, "'", '"', '"\\0"', '"\\e[31m"', '"a\\nb"',
    "2020-01-01", "2020-13-45", '!!int ""', '!!float ""', "!!bool x", "!!timestamp x", "!!binary x", "!!set {a}", "!mine x",
    "!!python/name:os.system", "*a", "&a 1", "<<", "=", "|", ">", "%", "@", "`", "- a", "? a", "{" * 30, "[" * 60, "é", "\u202e",
    "\U0001f600", "{value: 1}", "{value: -1, provenance: measured}", "{value: 1e-320}", "{value: 1.0e-200}", "f16", "q4_k_m",
    "default", "cpu", "gpu", "measured", "../../etc/passwd", "{model.__class__}", "'{model:>1000000000}'", "'{x}'", "'{'",
]  # fmt: skip
JSON_VALUES = [
    *NUMBERS, "null", "true", "false", '""', '"x"', '"5"', "[]", "{}", "[1]", '{"a": 1}', "NaN", "Infinity", "-Infinity", "[" * 60,
    "[" * 900 + "]" * 900, '"\\ud800"', '"\\u0000"', '"\\n"', '"\\u001b[31m"', '"' + "x" * 5000 + '"', "[[], {}]", "[null]", "01",
    "1.", "'x'", '"llama"', '"qwen3_moe"', '"full_attention"', "[0, 1, 2, 3]", '["0", "1"]', "[1e999, 1e999]", "[5, 1]",
    f"[0, {HUGE}]", "[0, 9223372036854775808]", '"F64"', '"I32"',
]  # fmt: skip
CSV_VALUES = [
    *NUMBERS, "", " ", "nan", "inf", "-inf", "x", '"', '"1"', "1;2", "1,2", "x" * 200_000, "\0", "\u0663", "1_0", "0x1", "\u202e",
]  # fmt: skip
WORDS = [
    "", " ", "0", "-1", "1", "1,2", "1..4", "1..64*2", "0..8k+1k", "1..", "..", "4..1", "1..9*1", "8k", "1M", "99999999999", HUGE,
    "9" * 5000, "1..100000000", "1..100000000*2", "1,,2", "1.5", "1e3", "\u0663", "x", "nan", "inf", "uniform", "worst", "zipf:1.2",
    "zipf:nan", "zipf:1e308", "zipf:100", "switch:100", "gshard:0.1", "expert-choice:2", "q-sparse:0.5", "teal:1", "columns:0.999999",
    "columns:1e-300", "fixed:0.5", "fixed:1e-320", "beta:2,5", "beta:1e-300,1e-300", "beta:1e4,1e4", "beta:1e400,1", "f16", "q4_k_m",
    "q8_k", "int4-g128", "2.70bpw", "0.1bpw", "1e5bpw", "mxfp4+bf16", "f16+" * 2000 + "f16", "+", "fp8", "f64", "iq1_s", "a" * 300,
    "a" * 5000, "a/b", ".", "..", "/", "~", "model.yaml", "device.yaml", "runtime.yaml", "none.yaml", "none.json", "none.csv", "none.gguf",
    "--help", "--batch", "-", "\n", "a\nb", "\x1b[31m", "\udcff", "roofline", "llama.cpp", "vllm", "pi5-16gb", "qwen3-30b-a3b", "*", "{}",
]  # fmt: skip
OWN_WORDS = {
    "batch": ["1", "7", "1..8", "1000000", "1..1000000*2", "1000001", "0..4", "1..60", "16k"],
    "context": ["0", "1M", "8k", "0..8k+1k", "100000000", "100000001", "0..60", "1..100000000*2"],
    "weights": ["f64", "q8_k", "iq1_s", "int4-g128", "2.70bpw", "mxfp4+bf16", "ternary", "0.1bpw", "64bpw", "nvfp4"],
    "cache": ["f32", "q8_0", "q4_0", "int4", "iq4_nl", "q4_k"],
    "runtime": ["vllm", "roofcast", "roofline", "llama.cpp", "model.yaml", "."],
    "threads": ["1", "3", "100000", "100001", "0", "-1", "4.0"],
    "routing": ["worst", "zipf:0.001", "zipf:100", "switch:100", "switch:0.0001", "gshard:2", "expert-choice:100"],
    "sparsity": ["q-sparse:0.8", "teal:0", "columns:0.999999", "cats:0.5,0.1", "relu:0.5,0.1,0.2", "turbosparse:1e-9"],
    "density": ["fixed:1e-9", "fixed:1", "beta:1e-9,1e-9", "beta:1e4,1e4", "beta:1e4,1e-9", "beta:2,5,1"],
    "devices": ["1", "2", "100000", "100001", "0"],
}
LENGTHS = [0, 1, 2, 255, 2**16, 2**31, 2**32 - 1, 2**60, 2**61, 2**63 - 1, 2**63, 2**64 - 1]
