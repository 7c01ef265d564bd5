//! Does what is ordered.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use openclaw_runtime_smol::client::node::{Answer, Denial};
use smol::Timer;
use smol::future::FutureExt as _;

use super::allowed::Allowed;
use super::order::Order;
use super::report::Out;
use super::{info, run, which};

/// How long looking something up may take where the gateway would wait for ever.
const LOOK: Duration = Duration::from_secs(30);

/// What orders are carried out with.
pub(super) struct Work {
    /// The programs that may run.
    pub(super) allowed: Allowed,
    /// Where notifications are shown.
    pub(super) out: Out,
}

impl Work {
    /// Carries an order out; there is always an answer.
    pub(super) async fn carry_out(&self, order: Order, budget: Option<Duration>) -> Answer {
        answered(self.work(order, budget)).await
    }

    async fn work(&self, order: Order, budget: Option<Duration>) -> Answer {
        match order {
            Order::Which(bins) => look(budget, move || which::answer(&bins)).await,
            Order::Info => look(budget, info::answer).await,
            Order::Notify { title, body } => {
                let told = [title, body];
                let told: Vec<&str> = told
                    .iter()
                    .map(String::as_str)
                    .filter(|text| !text.is_empty())
                    .collect();
                let told = told.join(": ");
                log::info!("notification: {told}");
                self.out.say(format!("notification: {told}"));
                Ok(None)
            }
            Order::Run(order) => {
                let program = self.allowed.find(&order.program)?.to_owned();
                log::info!("system.run: {}", program.display());
                run::answer(order, program, budget).await
            }
        }
    }
}

/// Makes an answer of a panic, too.
async fn answered(work: impl Future<Output = Answer>) -> Answer {
    let done = AssertUnwindSafe(work).catch_unwind();
    done.await.unwrap_or_else(|_| {
        Err(Denial::new(
            "INTERNAL",
            "the node failed at this; its log says more",
        ))
    })
}

/// Looks something up where that holds nobody up.
async fn look(budget: Option<Duration>, look: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    let late = async move {
        Timer::after(budget.unwrap_or(LOOK).min(LOOK)).await;
        Err(Denial::new("TIMEOUT", "looking it up took too long"))
    };
    smol::unblock(look).or(late).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_is_answered() {
        let answer = smol::block_on(answered(look(None, || panic!("on purpose"))));
        assert_eq!(answer.unwrap_err().code, "INTERNAL");
    }

    #[test]
    fn what_is_not_allowed_does_not_run() {
        let work = Work {
            allowed: Allowed::default(),
            out: Out::start(),
        };
        let order = Order::Run(super::super::order::Run {
            program: "/bin/true".to_owned(),
            args: Vec::new(),
            cwd: None,
            env: [].into(),
            timeout: None,
        });
        let denied = smol::block_on(work.carry_out(order, None)).unwrap_err();
        assert_eq!(denied.code, "SYSTEM_RUN_DENIED");
    }
}
