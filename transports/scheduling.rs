//! How the kernel schedules a worker: it does not preempt the process that woke it.
//!
//! An upstream's response, or a client's query, wakes the worker during the system call that sent it. Under Linux's normal policy, a
//! worker on the same processor often preempts the sender at once: both lose warm caches, and the sender is scheduled again for the rest
//! of its call. Under the batch policy (`SCHED_BATCH`, sched(7)) the worker runs microseconds later, when the sender sleeps, or at once
//! on a free processor. It needs no privilege. While other processes keep all processors busy, the worker may wait some
//! milliseconds longer.

#[cfg(target_os = "linux")]
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id, thread_schedule_policy,
};

/// Moves this thread from the normal policy to the batch policy. A failure has no consequence but the cost.
#[cfg(target_os = "linux")]
pub fn use_batch_policy() {
    const BATCH: ThreadSchedulePolicy =
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    const NORMAL: ThreadSchedulePolicy =
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
    if !thread_schedule_policy().is_ok_and(|policy| policy == NORMAL) {
        return;
    }
    // The library sets the policy together with a nice value. Here that is the one that the thread has already.
    let Some(priority) = niceness().and_then(|nice| priority_of(nice, BATCH)) else {
        return;
    };
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), priority, BATCH) {
        log::debug!("SCHED_BATCH was refused: {error}; the worker keeps its scheduling policy");
    }
}

/// Only Linux has such a policy.
#[cfg(not(target_os = "linux"))]
pub fn use_batch_policy() {}

/// The thread's nice value.
#[cfg(target_os = "linux")]
fn niceness() -> Option<i32> {
    rustix::process::getpriority_process(None).ok()
}

/// The library counts from 0 to 99 what the kernel counts from 19 to -20.
#[cfg(target_os = "linux")]
fn priority_of(nice: i32, policy: ThreadSchedulePolicy) -> Option<ThreadPriority> {
    (0u8..=99)
        .filter_map(|value| Some(ThreadPriority::Crossplatform(value.try_into().ok()?)))
        .find(|priority| priority.to_posix(policy).is_ok_and(|found| found == nice))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_policy_changes_and_the_nice_value_stays() {
        // On a separate thread, so that the policy of the test's own does not change.
        let work = || {
            let before = niceness();
            use_batch_policy();
            assert_eq!(niceness(), before);
            thread_schedule_policy().unwrap()
        };
        let policy = std::thread::spawn(work).join().unwrap();
        let batch = NormalThreadSchedulePolicy::Batch;
        assert_eq!(policy, ThreadSchedulePolicy::Normal(batch));
    }

    #[test]
    fn every_nice_value_has_a_priority() {
        let batch = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
        for nice in -20..=19 {
            let priority = priority_of(nice, batch).unwrap();
            assert_eq!(priority.to_posix(batch), Ok(nice));
        }
    }
}
