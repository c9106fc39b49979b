//! What users see when a part of the mesh fails, or is edited while it runs.

use tempfile::TempDir;
use weir_tests::scenario::failures::Crash;
use weir_tests::scenario::{edits, failures, filters};
use weir_tests::tools::{copy_files, project};
use weir_tests::{Up, able};

const CANARY: &str = "deploy/demos/canary";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_panics_costs_only_the_requests_in_flight() {
    if !able::to_run_broken_filters() {
        return;
    }
    let mesh = filters::mesh_that_can_panic().unwrap();
    filters::panic_once(&mesh).await.unwrap().check();
    filters::panic_always(&mesh).await.unwrap().check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dies_comes_back_and_an_envoy_waits_for_its_configuration() {
    if able::to_run_a_mesh() {
        let mesh = Up::start(&[CANARY]).unwrap();
        failures::crashed_is_restarted(&mesh, Crash::Envoy).await.unwrap().check();
        failures::crashed_is_restarted(&mesh, Crash::App).await.unwrap().check();
        failures::control_plane_absent_at_start(&mesh).await.unwrap().check();
    }
}

#[tokio::test]
async fn a_filter_that_is_never_configured_holds_nothing_up_for_long() {
    if able::to_run_envoy() {
        filters::never_configured().await.unwrap().check();
    }
}

#[tokio::test]
async fn edits_of_the_users_files_are_in_force_soon() {
    if !able::to_run_a_mesh() {
        return;
    }
    let copy = TempDir::with_prefix("weir-tests-").unwrap();
    copy_files(&project(CANARY), copy.path()).unwrap();
    let mesh = Up::start(&[&copy.path().display().to_string()]).unwrap();
    edits::are_in_force_soon(&mesh, &copy.path().join("traffic.yaml")).await.unwrap().check();
    edits::broken_outlive_a_restart(&mesh, &copy.path().join("traffic.yaml")).await.unwrap().check();
}
