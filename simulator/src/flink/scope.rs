//! The threads of one process, without threads and without `tokio::spawn`: everything that a process does hangs on its
//! one root future. A process that is not polled stands still as a whole, as a stopped process does.

use std::future::Future;
use std::pin::pin;

use futures::future::{AbortHandle, Abortable, LocalBoxFuture};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;

/// Starts tasks that live as long as the [`Scope::run`] that made it.
#[derive(Debug, Clone)]
pub(super) struct Scope(mpsc::UnboundedSender<Task>);

type Task = LocalBoxFuture<'static, ()>;

/// Ends its task when it is dropped.
#[derive(Debug)]
pub(super) struct Guard(AbortHandle);

// === impl Scope ===

impl Scope {
    /// Runs `main` and whatever it starts, until `main` is done; what still runs then is dropped.
    pub(super) async fn run<F: Future>(main: impl FnOnce(Self) -> F) -> F::Output {
        let (sender, mut started) = mpsc::unbounded_channel::<Task>();
        let mut main = pin!(main(Self(sender)));
        let mut tasks = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                output = &mut main => return output,
                Some(task) = started.recv() => tasks.push(task),
                Some(()) = tasks.next(), if !tasks.is_empty() => {}
            }
        }
    }

    /// Starts a task.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        // The receiver lives as long as anything that could call this is polled; a refusal comes from a destructor at
        // the end, when there is nothing to be started any more.
        drop(self.0.send(Box::pin(task)));
    }

    /// Starts a task that ends at the latest when the guard is dropped.
    pub(super) fn spawn_guarded(&self, task: impl Future<Output = ()> + 'static) -> Guard {
        let (handle, registration) = AbortHandle::new_pair();
        let task = Abortable::new(task, registration);
        // Aborted or done: either way it is over.
        self.spawn(task.map(|_| ()));
        Guard(handle)
    }
}

// === impl Guard ===

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_runs_ends_with_the_main_task_and_a_guarded_task_with_its_guard() {
        let seen = Rc::new(Cell::new((0, 0)));
        let count = seen.clone();
        Scope::run(|scope| async move {
            let free = count.clone();
            scope.spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    free.set((free.get().0 + 1, free.get().1));
                }
            });
            let guarded = count.clone();
            let guard = scope.spawn_guarded(async move {
                loop {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    guarded.set((guarded.get().0, guarded.get().1 + 1));
                }
            });
            tokio::time::sleep(Duration::from_millis(35)).await;
            drop(guard);
            tokio::time::sleep(Duration::from_millis(20)).await;
        })
        .await;
        assert_eq!(seen.get(), (5, 3));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(seen.get(), (5, 3));
    }
}
