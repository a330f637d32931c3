//! The list: every case by its topic, with what it requires, mounted for each world and, where it is about protocols, for each of them.

/// The protocols under the suite.
pub const PROTOCOLS: &[&str] = &[
    #[cfg(feature = "tls")]
    "tls",
    "tcp",
    #[cfg(feature = "sockets")]
    "udp",
    #[cfg(feature = "doh")]
    "https",
    #[cfg(feature = "doq")]
    "quic",
];

/// Mounts every case in each world, and lists the worlds.
macro_rules! worlds {
    ($( $(#[$gate:meta])* $module:ident = $name:literal => $Runtime:ty; )*) => {
        /// The worlds of this build.
        const WORLDS: &[&str] = &[$( $(#[$gate])* $name, )*];

        $(
            $(#[$gate])*
            mod $module {
                use dotward::serve::{Options, Sockets, serve};
                use dotward::transports::Protocols;

                $crate::cases::world! { $name, $Runtime }
                #[cfg(feature = "tls")]
                mod tls {
                    $crate::cases::protocol! { $name, $Runtime, "tls" }
                }
                mod tcp {
                    $crate::cases::protocol! { $name, $Runtime, "tcp" }
                }
                #[cfg(feature = "sockets")]
                mod udp {
                    $crate::cases::unconnected! { $name, $Runtime }
                }
                #[cfg(feature = "doh")]
                mod https {
                    $crate::cases::with_streams! { $name, $Runtime }
                }
                #[cfg(feature = "doq")]
                mod quic {
                    $crate::cases::over_quic! { $name, $Runtime }
                }
                // An application may spawn the loop: the compiler sees that it can move between threads.
                const _: fn($Runtime, Protocols<$Runtime>, Sockets<$Runtime>, Options) =
                    |runtime, protocols, sockets, options| {
                        $crate::serving::is_send(&serve(runtime, protocols, sockets, options));
                    };
            }
        )*
    };
}

/// What is asked of a runtime itself.
macro_rules! world {
    ($name:literal, $Runtime:ty) => {
        $crate::cases::topic! { $name, None, $Runtime, streams
            two_ends_speak: [],
            nobody_there_is_an_error: [],
            half_a_connection_may_end: [],
            octets_may_come_one_by_one: [],
            a_writer_waits_for_its_reader: [],
            both_directions_flow_at_once: [],
            an_end_that_is_dropped_ends: [],
            writing_to_nobody_fails: [],
            the_last_waker_is_woken: [],
            a_read_given_up_loses_nothing: [],
            a_connect_given_up_leaves_nothing: [],
            many_connections_do_not_mix: [],
        }
        $crate::cases::topic! { $name, None, $Runtime, datagrams
            a_datagram_comes_with_its_sender: [],
            batches_arrive_whole: [],
            answers_of_one_length_arrive_one_by_one: [],
            an_empty_datagram_is_one: [],
            a_large_datagram_is_cut: [],
            the_last_waker_is_woken: [],
            an_address_has_one_owner: [],
            an_address_is_free_again: [],
            sockets_share_an_address: [SharedPorts],
            replies_come_from_the_address_that_was_asked: [ReplySource],
            a_refused_reply_is_counted: [System],
        }
        $crate::cases::topic! { $name, None, $Runtime, timers
            alarms_go_off_in_order: [],
            a_moment_that_is_over_is_now: [],
            the_last_waker_is_woken: [],
            work_within_its_bound_is_done: [],
            work_beyond_its_bound_is_dropped: [],
            clones_share_their_clocks: [],
        }
        $crate::cases::topic! { $name, None, $Runtime, threads
            another_thread_wakes_the_loop: [Threads],
            loops_run_side_by_side: [Threads],
        }
    };
}

/// What is asked of a protocol over a runtime.
macro_rules! protocol {
    ($name:literal, $Runtime:ty, $scheme:literal) => {
        $crate::cases::topic! { $name, Some($scheme), $Runtime, links
            a_question_is_answered: [],
            nobody_there_is_unreachable: [],
            the_largest_message_passes: [],
            answers_may_come_octet_by_octet: [],
            answers_may_come_together: [],
            nothing_leaves_before_the_flush: [],
            a_burst_arrives_in_order: [],
            an_end_between_messages_is_a_close: [],
            an_abrupt_end_between_messages_is_a_close: [],
            an_end_within_a_message_is_none: [],
            an_empty_message_does_not_end_a_link: [],
            the_last_waker_is_woken: [],
            a_goodbye_is_heard: [],
            many_links_do_not_mix: [],
            a_dial_given_up_leaves_nothing: [],
            a_stranger_is_told_nothing: [Authentication],
            a_silent_handshake_times_out: [Authentication, VirtualTime],
        }
        $crate::cases::topic! { $name, Some($scheme), $Runtime, serving
            clients_are_answered_and_drained: [],
            many_questions_do_not_mix: [],
            a_stop_ends_at_once: [],
            dropping_the_loop_frees_its_addresses: [],
            sockets_go_on_with_the_next_loop: [Descriptors],
        }
    };
}

/// What is asked of DNS over HTTPS, where each query has a stream of its own.
#[cfg(feature = "doh")]
macro_rules! with_streams {
    ($name:literal, $Runtime:ty) => {
        $crate::cases::topic! { $name, None, $Runtime, doh
            a_query_is_answered_and_its_id_stays_here: [],
            the_largest_message_passes: [],
            responses_may_come_octet_by_octet: [],
            many_queries_share_the_connection: [],
            the_limit_of_the_server_is_told_and_kept: [],
            nothing_leaves_before_the_flush: [],
            what_flow_control_holds_back_is_backlog: [],
            a_query_may_fail_alone: [],
            what_is_too_long_fails_alone: [],
            a_stream_that_is_refused_is_not_processed: [],
            after_goaway_what_was_processed_is_answered: [],
            a_close_with_queries_in_flight_is_one: [],
            an_end_within_a_frame_is_a_truncation: [],
            what_is_no_http2_is_a_protocol_error: [],
            a_server_that_sends_without_end_is_given_up: [],
            informational_responses_have_an_end: [],
            a_server_without_http2_is_refused: [],
            a_server_that_wants_another_protocol_is_refused: [System],
            the_age_of_a_response_counts: [],
            the_last_waker_is_woken: [],
            a_goodbye_is_heard: [],
        }
        $crate::cases::topic! { $name, Some("https"), $Runtime, links
            nobody_there_is_unreachable: [],
            a_stranger_is_told_nothing: [Authentication],
            a_silent_handshake_times_out: [Authentication, VirtualTime],
        }
        $crate::cases::topic! { $name, Some("https"), $Runtime, serving
            clients_are_answered_and_drained: [],
            many_questions_do_not_mix: [],
            a_stop_ends_at_once: [],
            dropping_the_loop_frees_its_addresses: [],
            sockets_go_on_with_the_next_loop: [Descriptors],
        }
    };
}

/// What is asked of DNS over QUIC, where each query has a stream of its own and the path may change.
#[cfg(feature = "doq")]
macro_rules! over_quic {
    ($name:literal, $Runtime:ty) => {
        $crate::cases::topic! { $name, None, $Runtime, doq
            a_query_is_answered_and_its_id_stays_here: [],
            the_largest_message_passes: [],
            responses_may_come_octet_by_octet: [],
            many_queries_share_the_connection: [],
            the_limit_of_the_server_is_told_and_kept: [],
            a_server_that_allows_no_more_is_left: [VirtualTime],
            nothing_leaves_before_the_flush: [],
            a_query_may_fail_alone: [],
            what_violates_the_protocol_ends_the_connection: [],
            a_close_of_the_server_is_told: [],
            a_server_that_restarts_is_noticed: [],
            a_server_that_disappears_is_noticed: [],
            an_idle_connection_ends_as_one: [VirtualTime],
            a_query_that_waits_keeps_the_connection: [VirtualTime],
            nobody_there_is_unreachable: [System],
            a_server_without_doq_is_refused: [],
            a_stranger_is_told_nothing: [],
            a_silent_handshake_times_out: [VirtualTime],
            a_session_is_resumed: [],
            queries_leave_early_on_a_resumed_connection: [],
            early_queries_that_are_rejected_leave_again: [],
            the_last_waker_is_woken: [],
            a_goodbye_is_heard: [],
            the_connection_goes_on_from_another_port: [],
            a_connection_waits_a_while_for_a_path: [VirtualTime],
        }
        $crate::cases::topic! { $name, Some("quic"), $Runtime, serving
            clients_are_answered_and_drained: [],
            many_questions_do_not_mix: [],
            a_stop_ends_at_once: [],
            dropping_the_loop_frees_its_addresses: [],
            sockets_go_on_with_the_next_loop: [Descriptors],
        }
    };
}

/// What is asked of plain UDP to an upstream, which knows no connections.
#[cfg(feature = "sockets")]
macro_rules! unconnected {
    ($name:literal, $Runtime:ty) => {
        $crate::cases::topic! { $name, None, $Runtime, plain_udp
            ids_on_the_way_are_not_those_of_the_core: [],
            what_answers_nothing_is_dropped: [],
            an_error_may_lack_its_question: [],
            a_truncated_response_is_asked_for_over_tcp: [],
            a_signed_query_goes_over_tcp: [],
            what_is_asked_for_fits_a_packet: [],
            a_query_that_is_lost_is_sent_again: [VirtualTime],
            every_query_leaves_from_a_port_of_its_own: [],
            responses_may_come_in_any_order: [],
            guesses_lead_to_tcp: [],
            a_response_to_what_was_given_up_is_dropped: [],
            nobody_there_ends_the_connection: [System],
            a_response_that_was_cut_is_asked_for_over_tcp: [],
            what_fails_over_tcp_fails_at_once: [],
            a_query_whose_tcp_connection_ended_is_sent_on_another: [],
        }
    };
}

/// Mounts one topic. A case over a protocol gets its name, too.
macro_rules! topic {
    ($name:literal, None, $Runtime:ty, $topic:ident $( $case:ident : [$($need:ident),*], )*) => {
        mod $topic {
            $(
                #[test]
                fn $case() {
                    let needs = &[$( $crate::world::Need::$need ),*];
                    $crate::world::ask($name, None, needs, $crate::$topic::$case::<$Runtime>);
                }
            )*
        }
    };
    ($name:literal, Some($scheme:literal), $Runtime:ty, $topic:ident $( $case:ident : [$($need:ident),*], )*) => {
        mod $topic {
            $(
                #[test]
                fn $case() {
                    let needs = &[$( $crate::world::Need::$need ),*];
                    let case = |runtime: $Runtime| $crate::$topic::$case(runtime, $scheme);
                    $crate::world::ask($name, Some($scheme), needs, case);
                }
            )*
        }
    };
}

#[cfg(feature = "doq")]
pub(crate) use over_quic;
#[cfg(feature = "sockets")]
pub(crate) use unconnected;
#[cfg(feature = "doh")]
pub(crate) use with_streams;
pub(crate) use {protocol, topic, world, worlds};
