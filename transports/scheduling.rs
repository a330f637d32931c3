//! How the kernel schedules a worker: it lets whoever woke it finish first.
//!
//! An upstream's answer, or a client's question, wakes the worker in the middle of the system call that sent it. A thread of Linux's
//! ordinary policy then often interrupts the sender at once; both lose their processor's warm caches, and the sender is scheduled once
//! more for the rest of its call. One of the batch policy (`SCHED_BATCH`, sched(7)) runs when the sender sleeps, microseconds
//! later, or elsewhere if a processor is free. It needs no privilege. Where all processors are busy with others, the worker
//! may wait for its turn some milliseconds longer.

#[cfg(target_os = "linux")]
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id, thread_schedule_policy,
};

/// Has this thread let those finish who wake it, if it is under the ordinary policy. Nothing depends on it.
#[cfg(target_os = "linux")]
pub fn let_wakers_finish() {
    const BATCH: ThreadSchedulePolicy =
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
    const ORDINARY: ThreadSchedulePolicy =
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
    if !thread_schedule_policy().is_ok_and(|policy| policy == ORDINARY) {
        return;
    }
    // The library sets the policy and a nice value at once: the one that the thread has.
    let Some(priority) = niceness().and_then(|nice| priority_of(nice, BATCH)) else {
        return;
    };
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), priority, BATCH) {
        log::debug!("SCHED_BATCH was refused: {error}");
    }
}

/// Elsewhere there is no such policy.
#[cfg(not(target_os = "linux"))]
pub fn let_wakers_finish() {}

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
        // On a thread of its own, which ends with it.
        let work = || {
            let before = niceness();
            let_wakers_finish();
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
