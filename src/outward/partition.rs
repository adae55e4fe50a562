//! AWS's partitions: under which domains each has its hosts.

use super::BadSetting;

/// How the regions of a partition begin and the domain of its hosts; the first that fits. By AWS's own data
/// (botocore 1.43, `partitions.json`).
const DOMAINS: [(&str, &str); 8] = [
    ("cn-", "amazonaws.com.cn"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-iso-", "c2s.ic.gov"),
    ("eusc-", "amazonaws.eu"),
    ("us-gov-", "amazonaws.com"),
    ("", "amazonaws.com"),
];

/// The domains of dual-stack hosts and of Lambda-like services, beside those above.
const OTHER_DOMAINS: [&str; 9] = [
    "api.aws",
    "on.aws",
    "api.amazonwebservices.com.cn",
    "on.amazonwebservices.com.cn",
    "api.amazonwebservices.eu",
    "api.aws.ic.gov",
    "api.aws.scloud",
    "api.aws.hci.ic.gov",
    "api.cloud-aws.adc-e.uk",
];

/// The host of S3 in a region, buckets being named in the path.
/// <https://docs.aws.amazon.com/general/latest/gr/s3.html>
///
/// # Errors
/// [`BadSetting`] where the partition has no FIPS endpoints.
pub fn s3_host(region: &str, fips: bool, dual_stack: bool) -> Result<String, BadSetting> {
    let domain = DOMAINS.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("amazonaws.com", |(_, it)| it);
    if fips && domain == "amazonaws.com.cn" {
        return Err(BadSetting(format!("AWS_USE_FIPS_ENDPOINT: AWS has no FIPS endpoints in {region}")));
    }
    let (fips, dual_stack) = (if fips { "-fips" } else { "" }, if dual_stack { ".dualstack" } else { "" });
    Ok(format!("s3{fips}{dual_stack}.{region}.{domain}"))
}

/// Whether a host is AWS's, in whatever partition, also by a private link.
pub fn is_awss_own(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let domains = DOMAINS.iter().map(|(_, domain)| *domain).chain(OTHER_DOMAINS);
    domains.into_iter().any(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
}

/// Whether a host is AWS's S3: a machine that somebody runs at AWS has AWS's domain too.
pub fn is_awss_s3(host: &str) -> bool {
    let of_s3 = |label: &str| label == "s3" || label.starts_with("s3-") || label.starts_with("s3express-");
    is_awss_own(host) && host.to_ascii_lowercase().split('.').any(of_s3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isolation::REGIONS;

    #[test]
    fn s3_is_where_its_partition_is() {
        for (region, fips, dual_stack, host) in [
            ("eu-central-1", false, false, "s3.eu-central-1.amazonaws.com"),
            ("eu-central-1", false, true, "s3.dualstack.eu-central-1.amazonaws.com"),
            ("us-east-1", true, false, "s3-fips.us-east-1.amazonaws.com"),
            ("us-east-1", true, true, "s3-fips.dualstack.us-east-1.amazonaws.com"),
            ("us-gov-west-1", true, false, "s3-fips.us-gov-west-1.amazonaws.com"),
            ("us-gov-east-1", false, false, "s3.us-gov-east-1.amazonaws.com"),
            ("cn-north-1", false, false, "s3.cn-north-1.amazonaws.com.cn"),
            ("cn-northwest-1", false, true, "s3.dualstack.cn-northwest-1.amazonaws.com.cn"),
            ("us-iso-east-1", false, false, "s3.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", false, false, "s3.us-isob-east-1.sc2s.sgov.gov"),
            ("us-isof-south-1", false, false, "s3.us-isof-south-1.csp.hci.ic.gov"),
            ("eu-isoe-west-1", false, false, "s3.eu-isoe-west-1.cloud.adc-e.uk"),
            ("eusc-de-east-1", false, false, "s3.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(s3_host(region, fips, dual_stack).unwrap(), host);
        }
        assert!(s3_host("cn-north-1", true, false).unwrap_err().to_string().contains("no FIPS"));
        for region in REGIONS {
            assert!(is_awss_s3(&s3_host(region, false, true).unwrap()), "{region}");
        }
    }

    #[test]
    fn awss_own_is_told_from_what_runs_there() {
        for s3 in [
            "s3.eu-west-1.amazonaws.com",
            "bucket.vpce-0a1b2c3d-4e5f.s3.us-east-1.vpce.amazonaws.com",
            "accesspoint.vpce-0a1b.s3.eu-west-1.vpce.amazonaws.com",
            "s3-fips.us-gov-west-1.amazonaws.com",
            "S3.DUALSTACK.cn-north-1.amazonaws.com.cn.",
            "bucket.s3-eu-west-1.amazonaws.com",
        ] {
            assert!(is_awss_s3(s3), "{s3}");
        }
        for own in ["secretsmanager.eu-west-1.api.aws", "minio.eu-west-1.elb.amazonaws.com"] {
            assert!(is_awss_own(own) && !is_awss_s3(own), "{own}");
        }
        for other in ["s3.example", "s3.amazonaws.com.example", "s3.notamazonaws.com", "amazonaws.com", "127.0.0.1"] {
            assert!(!is_awss_own(other) && !is_awss_s3(other), "{other}");
        }
    }
}
