//! One suite for every implementation of the log: what one promises, all keep.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

mod cases;
mod compaction;
mod expulsion;
mod faults;
mod harness;
mod postgres_faults;
#[cfg(feature = "limits")]
mod raw;
mod setup;
mod stalls;

/// A module of tests for each implementation, from one list of cases.
macro_rules! conformance {
    ($($implementation:ident: $harness:ty),+ $(,)? => $cases:tt) => {
        $(conformance!(@module $implementation, $harness, $cases);)+
    };
    (@module $implementation:ident, $harness:ty, { $($file:ident::$case:ident),+ $(,)? }) => {
        mod $implementation {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::cases::$file::$case(&<$harness>::start().await).await;
                }
            )+
        }
    };
}

conformance! {
    memory: crate::harness::memory::Memory,
    postgres: crate::harness::postgres::Postgres,
    kafka: crate::harness::kafka::Kafka,
    => {
        writing::an_append_is_read_back,
        writing::every_event_type_passes_through,
        writing::a_stale_expected_end_is_refused,
        writing::a_batch_with_one_bad_event_leaves_nothing,
        writing::a_cancelled_append_leaves_all_or_nothing,
        writing::a_large_batch_is_one_append,
        writing::partitions_are_written_at_once,
        writing::an_event_too_large_is_refused,
        takeover::a_second_writer_fences_the_first,
        takeover::a_new_writer_sees_all_its_predecessor_committed,
        takeover::rivals_leave_exactly_what_was_acknowledged,
        reading::a_reader_starts_where_it_is_told,
        reading::a_subscription_replays_and_then_follows,
        reading::a_subscriber_that_reconnects_misses_and_repeats_nothing,
        reading::an_unknown_partition_is_an_error,
        content::an_unknown_type_keeps_its_data,
        content::poison_is_data_and_the_log_goes_on,
        content::dead_letters_are_kept,
        output::lines_come_back_in_order,
        output::a_line_appended_again_is_recognised,
        output::a_subscription_resumes,
        snapshots::there_is_no_snapshot_at_first,
        snapshots::the_newest_snapshot_wins_and_partitions_have_their_own,
        snapshots::a_large_snapshot_comes_back,
        snapshots::a_damaged_snapshot_is_left_out,
        snapshots::rivals_leave_a_whole_snapshot,
    }
}

/// Instances that divide the partitions of one log.
mod dividing {
    conformance! {
        memory: crate::harness::memory::Memory,
        => {
            membership::one_alone_has_everything,
        }
    }

    conformance! {
        postgres: crate::harness::postgres::Postgres,
        kafka: crate::harness::kafka::Kafka,
        => {
            membership::one_alone_has_everything,
            membership::partitions_move_without_a_moment_of_two_owners,
            membership::joining_and_leaving_in_a_storm_settles,
        }
    }
}
