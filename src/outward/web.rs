//! The HTTP client under providers that are spoken to without a vendor's library.

use std::{sync::Arc, time::Duration};

use reqwest::{Url, redirect::Policy};

use super::{BadSetting, Outward};

const TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Outward {
    /// A client that takes the one way out. It follows no redirect: what a request was meant for answers it, or nobody.
    ///
    /// # Errors
    /// [`BadSetting`] when what is to be trusted cannot be read.
    pub fn web_client(self: &Arc<Self>) -> Result<reqwest::Client, BadSetting> {
        let bad = |error: &dyn std::fmt::Display| BadSetting::new(error.to_string());
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(self.tls().map_err(|error| bad(&error))?)
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .http1_only()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(Policy::none())
            .no_proxy();
        if self.has_proxy() {
            let outward = Arc::clone(self);
            let of = move |url: &Url| outward.proxy_of(url).map(|proxy| proxy.0.clone());
            builder = builder.proxy(reqwest::Proxy::custom(of));
        }
        builder.build().map_err(|error| bad(&error.without_url()))
    }
}
