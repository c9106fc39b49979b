//! The three demos in one mesh each: what their users would see.

use std::future::Future;
use weir_tests::scenario::{bookinfo, canary, locality, operations};
use weir_tests::{Figure, Up, able};

fn run(measure: impl Future<Output = anyhow::Result<Vec<Figure>>>) {
    if !able::to_run_a_mesh() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure).unwrap().iter().for_each(Figure::check);
}

#[test]
fn the_canary_gets_its_share_and_keeps_its_users() {
    run(async {
        let mesh = Up::start(&["deploy/demos/canary"])?;
        let mut figures = vec![canary::share_without_user(&mesh).await?];
        figures.extend(canary::users_keep_their_version(&mesh).await?);
        figures.push(canary::tester(&mesh).await?);
        figures.push(canary::spoofed_headers(&mesh).await?);
        figures.push(operations::many_edits(&mesh).await?);
        figures.push(operations::bad_policy(&mesh).await?);
        figures.push(operations::control_plane_restarted(&mesh).await?);
        Ok(figures)
    });
}

#[test]
fn calls_stay_in_their_zone_leave_one_that_fails_and_come_back() {
    run(async {
        let mesh = Up::start(&["deploy/demos/locality"])?;
        let mut figures = vec![locality::stays(&mesh).await?, locality::spoofed_header(&mesh).await?];
        for stop in [locality::Stop::App, locality::Stop::PodAtOnce, locality::Stop::PodInOrder] {
            figures.push(locality::pod_leaves_and_returns(&mesh, stop).await?);
        }
        Ok(figures)
    });
}

#[test]
fn bookinfo_shows_its_stars() {
    run(async {
        let mesh = Up::start(&["deploy/demos/bookinfo"])?;
        Ok(vec![bookinfo::pages(&mesh).await?, bookinfo::reviews(&mesh).await?])
    });
}
