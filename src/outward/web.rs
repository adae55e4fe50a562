//! The HTTP client under providers that are spoken to without a vendor's library.

use std::{sync::Arc, time::Duration};

use reqwest::redirect::Policy;

use super::{BadSetting, Outward};

const TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Outward {
    /// A client that takes the one way out. It follows no redirect: what a request was meant for answers it, or nobody.
    ///
    /// # Errors
    /// [`BadSetting`] when what is to be trusted cannot be read.
    pub fn web_client(self: &Arc<Self>) -> Result<reqwest::Client, BadSetting> {
        let builder = self.http().map_err(|error| BadSetting::new(error.to_string()))?;
        let builder = builder.timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).redirect(Policy::none());
        builder.build().map_err(|error| BadSetting::new(error.without_url().to_string()))
    }
}
