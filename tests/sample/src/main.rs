//! The sample application as a program of its own, which is what its container image runs.

fn main() -> std::process::ExitCode {
    weir_sample::run(std::env::args_os().skip(1))
}
