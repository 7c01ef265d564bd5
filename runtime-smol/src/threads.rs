//! Threads for an executor.

use std::future::Future;
use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use smol::Executor;

/// The most threads; more would not be busy.
const MAX: usize = 4;

/// Runs a future on an executor that has as many threads as the machine has cores, four at most.
///
/// The calling thread is one of them. Tasks that are left when the future is done are dropped.
pub fn run<T, F: Future<Output = T>>(main: impl FnOnce(Arc<Executor<'static>>) -> F) -> T {
    let executor = Arc::new(Executor::new());
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let (running, ended) = async_channel::bounded::<()>(1);
    let workers: Vec<_> = (1..cores.min(MAX))
        .filter_map(|number| {
            let (executor, ended) = (Arc::clone(&executor), ended.clone());
            thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || {
                    let _ = smol::block_on(executor.run(ended.recv()));
                })
                .inspect_err(|error| log::warn!("one thread less: {error}"))
                .ok()
        })
        .collect();
    let outcome = smol::block_on(executor.run(main(Arc::clone(&executor))));
    drop(running);
    for worker in workers {
        let _ = worker.join();
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_run_and_the_threads_end() {
        let sum = run(|executor| async move {
            let tasks: Vec<_> = (0..10).map(|n| executor.spawn(async move { n })).collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await;
            }
            sum
        });
        assert_eq!(sum, 45);
    }
}
