//! Every job of the application. A job that is not listed here is never run.

use std::time::Duration;

use crate::app::App;
use crate::features::auth::{SendAccountMail, SendPasswordResetMail, SendVerificationMail};
use crate::features::catalog::RunImport;
use crate::features::invoices::{IssueInvoices, MakeInvoice};
use crate::features::media::{DeleteMedia, SweepMedia};
use crate::features::notifications::DeliverMail;
use crate::features::webhooks::ProcessWebhook;
use crate::flows::deliver_webhooks::DeliverWebhooks;
use crate::flows::disputes::WatchDisputes;
use crate::flows::expire::Sweep;
use crate::flows::fetch_images::FetchImages;
use crate::flows::fraud::TellOfReview;
use crate::flows::order_mail::SendOrderMail;
use crate::flows::popularity::CountPopularity;
use crate::flows::reconcile::{Reconcile, ScheduleReconciliation};
use crate::flows::refund::send::SendRefund;
use crate::flows::remind_carts::RemindCarts;
use crate::flows::retention::Retention;
use crate::flows::stock_watch::WatchStock;
use crate::flows::sweep_payments::SweepPayments;
use crate::platform::jobs::{Registry, Runner};

/// Starts the workers of this process.
///
/// # Errors
/// When a job is registered twice or a setting is out of range.
pub fn start(app: &App) -> anyhow::Result<Runner> {
    let mut registry = Registry::new(app.clone());
    registry.add::<ProcessWebhook>()?;
    registry.add::<SendOrderMail>()?;
    registry.add::<MakeInvoice>()?;
    registry.add::<IssueInvoices>()?;
    registry.add::<SendRefund>()?;
    registry.add::<TellOfReview>()?;
    registry.add::<SendVerificationMail>()?;
    registry.add::<SendPasswordResetMail>()?;
    registry.add::<SendAccountMail>()?;
    registry.add::<DeliverMail>()?;
    registry.add::<DeleteMedia>()?;
    registry.add::<SweepMedia>()?;
    registry.add::<RunImport>()?;
    registry.add::<FetchImages>()?;
    registry.add::<Retention>()?;
    registry.add::<CountPopularity>()?;
    registry.add::<WatchStock>()?;
    registry.add::<RemindCarts>()?;
    registry.add::<DeliverWebhooks>()?;
    registry.add::<SweepPayments>()?;
    registry.add::<WatchDisputes>()?;
    registry.add::<Reconcile>()?;
    registry.add::<ScheduleReconciliation>()?;
    registry.add::<Sweep>()?;
    registry.every::<Sweep>(Duration::from_secs(app.config.jobs.sweep_seconds.max(1)), || Sweep {})?;
    let poll = Duration::from_secs(app.config.webhooks.poll_seconds);
    registry.every::<DeliverWebhooks>(poll, || DeliverWebhooks {})?;
    registry.every::<WatchStock>(Duration::from_secs(60), || WatchStock {})?;
    registry.every::<SweepPayments>(Duration::from_secs(60), || SweepPayments {})?;
    registry.every::<ScheduleReconciliation>(Duration::from_secs(60), || ScheduleReconciliation {})?;
    registry.every::<WatchDisputes>(Duration::from_secs(60), || WatchDisputes {})?;
    registry.every::<FetchImages>(Duration::from_secs(60), || FetchImages {})?;
    registry.every::<RemindCarts>(Duration::from_secs(10 * 60), || RemindCarts {})?;
    registry.every::<CountPopularity>(Duration::from_secs(60 * 60), || CountPopularity {})?;
    registry.every::<SweepMedia>(Duration::from_secs(60 * 60), || SweepMedia {})?;
    registry.every::<IssueInvoices>(Duration::from_secs(24 * 60 * 60), IssueInvoices::default)?;
    registry.every::<Retention>(Duration::from_secs(24 * 60 * 60), || Retention {})?;
    registry.start(&app.db, &app.config.jobs)
}
