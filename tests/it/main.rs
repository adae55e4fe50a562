//! Every integration test, in one binary.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::type_complexity,
    clippy::case_sensitive_file_extension_comparisons,
    reason = "a test ends at the first surprise and says what it saw"
)]

mod across;
mod across_estates;
mod across_pipeline;
mod alarms;
mod architecture;
mod aws_listing;
mod aws_moto;
mod aws_stub;
mod bad_input;
mod bench;
mod bucket_stub;
mod cases_replicas;
mod cases_settings;
mod cases_versions;
mod cli;
mod cli_moto;
mod command;
mod complete;
mod conformance;
mod custody_cli;
mod custody_crash;
mod custody_init;
mod custody_reseal;
mod custody_signer;
mod dialects;
mod dotenv;
mod dotenv_across;
mod drill;
mod drill_account;
mod drill_cli;
mod drill_evidence;
mod drill_leftovers;
mod drill_report;
mod emulator_behaviour;
mod emulator_boto3;
mod emulator_guard;
mod emulator_recordings;
mod emulator_rules;
mod emulator_scenarios;
mod emulator_scenarios_labels;
mod emulator_wire;
mod ends;
mod fidelity;
mod filter_pattern;
mod forget;
mod gateway;
mod glass;
mod glass_dialects;
mod glass_exec;
mod glass_lookup;
mod glass_versions;
mod handover;
mod hostile_text;
mod hygiene;
mod iam_ministack;
mod incremental;
mod json_contract;
mod judge;
mod kill;
mod layers;
mod lies;
mod little_s3;
mod local_users;
mod matrix;
mod matrix_moves;
mod matrix_world;
mod message_source;
mod messages;
mod mistakes;
mod model;
mod model_harm;
mod model_world;
mod outward;
mod plaintext_bound;
mod process_hygiene;
mod progress;
mod proxy;
mod recover_moves;
mod recover_py;
mod repo_broken;
mod repo_check;
mod repo_crash;
mod repo_exhaustive;
mod repo_fixture;
mod repo_history;
mod repo_recall;
mod repo_sample;
mod repo_trust;
mod restore_cli;
mod restore_complete;
mod restore_identity;
mod restore_large;
mod restore_modes;
mod restore_order;
mod round_trip;
mod scan_cli;
mod scan_files;
mod scan_gallery;
mod scan_picture;
mod scan_shots;
mod serve;
mod serve_attacks;
mod servers;
mod share_gather;
mod share_text;
mod share_vectors;
mod sheet_page;
mod sources;
mod status;
mod storage_odd;
mod storage_servers;
mod stub;
mod toy;
mod turns;
mod typing;
mod vault;
mod vault_face;
mod vault_lies;
mod vault_nasty;
mod vault_restore;
mod vault_sources;
mod walks;
mod worst_day;

/// As in the program, so that what is measured here is what it does.
#[global_allocator]
static ALLOCATOR: lifeboat::crypto::WipingAllocator = lifeboat::crypto::WipingAllocator;
