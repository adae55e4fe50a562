//! AWS's partitions: under which domains each has its hosts.

use super::BadSetting;

struct Partition {
    /// How its regions begin.
    prefix: &'static str,
    /// The second part of its ARNs.
    name: &'static str,
    /// Of its hosts.
    domain: &'static str,
    /// Of its hosts that speak IPv6 too; S3 has others.
    dual_stack: &'static str,
    /// The region of its one Organizations.
    organizations: &'static str,
}

const fn partition(
    prefix: &'static str,
    name: &'static str,
    domain: &'static str,
    dual_stack: &'static str,
    organizations: &'static str,
) -> Partition {
    Partition { prefix, name, domain, dual_stack, organizations }
}

/// The first that fits is a region's. By AWS's own data (botocore 1.43, `partitions.json` and the rules of Organizations).
const PARTITIONS: [Partition; 8] = [
    partition("cn-", "aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn", "cn-northwest-1"),
    partition("us-isob-", "aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud", "us-isob-east-1"),
    partition("us-isof-", "aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov", "us-isof-south-1"),
    partition("eu-isoe-", "aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", "eu-isoe-west-1"),
    partition("us-iso-", "aws-iso", "c2s.ic.gov", "api.aws.ic.gov", "us-iso-east-1"),
    partition("eusc-", "aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu", "eusc-de-east-1"),
    partition("us-gov-", "aws-us-gov", "amazonaws.com", "api.aws", "us-gov-west-1"),
    COMMERCIAL,
];
const COMMERCIAL: Partition = partition("", "aws", "amazonaws.com", "api.aws", "us-east-1");

/// The domains of Lambda-like services, beside those above.
const OTHER_DOMAINS: [&str; 2] = ["on.aws", "on.amazonwebservices.com.cn"];

fn of(region: &str) -> Partition {
    PARTITIONS.into_iter().find(|partition| region.starts_with(partition.prefix)).unwrap_or(COMMERCIAL)
}

/// The second part of every ARN of a region: `aws`, `aws-cn`, `aws-us-gov`.
pub fn partition_name(region: &str) -> &'static str {
    of(region).name
}

/// The region of the one Organizations that a region's partition has.
pub fn organizations_region(region: &str) -> &'static str {
    of(region).organizations
}

/// The host of a service in a region, as the rules of most services make it.
pub fn host(service: &str, region: &str, fips: bool, dual_stack: bool) -> String {
    let partition = of(region);
    // Organizations has one host for both there.
    let is_plain = service == "organizations" && partition.prefix == "us-gov-";
    let fips = if fips && !is_plain { "-fips" } else { "" };
    let domain = if dual_stack { partition.dual_stack } else { partition.domain };
    format!("{service}{fips}.{region}.{domain}")
}

/// The host of S3 in a region, buckets being named in the path.
/// <https://docs.aws.amazon.com/general/latest/gr/s3.html>
///
/// # Errors
/// [`BadSetting`] where the partition has no FIPS endpoints.
pub fn s3_host(region: &str, fips: bool, dual_stack: bool) -> Result<String, BadSetting> {
    let domain = of(region).domain;
    if fips && domain == "amazonaws.com.cn" {
        return Err(BadSetting(format!("AWS_USE_FIPS_ENDPOINT: AWS has no FIPS endpoints in {region}")));
    }
    let (fips, dual_stack) = (if fips { "-fips" } else { "" }, if dual_stack { ".dualstack" } else { "" });
    Ok(format!("s3{fips}{dual_stack}.{region}.{domain}"))
}

/// Whether a host is AWS's, in whatever partition, also by a private link.
pub fn is_awss_own(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let own = PARTITIONS.iter().flat_map(|partition| [partition.domain, partition.dual_stack]);
    own.chain(OTHER_DOMAINS).any(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
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

    /// The expectations of AWS's own crates for KMS and Organizations.
    #[test]
    fn a_service_is_where_its_partition_is() {
        for (region, fips, dual_stack, expected) in [
            ("eu-central-1", false, false, "kms.eu-central-1.amazonaws.com"),
            ("us-east-1", true, true, "kms-fips.us-east-1.api.aws"),
            ("us-east-1", true, false, "kms-fips.us-east-1.amazonaws.com"),
            ("cn-north-1", false, true, "kms.cn-north-1.api.amazonwebservices.com.cn"),
            ("us-gov-east-1", true, true, "kms-fips.us-gov-east-1.api.aws"),
            ("us-iso-west-1", false, false, "kms.us-iso-west-1.c2s.ic.gov"),
        ] {
            assert_eq!(host("kms", region, fips, dual_stack), expected);
        }
        for (region, fips, dual_stack, expected) in [
            ("eu-west-3", false, false, "organizations.us-east-1.amazonaws.com"),
            ("us-west-2", true, true, "organizations-fips.us-east-1.api.aws"),
            ("cn-north-1", false, false, "organizations.cn-northwest-1.amazonaws.com.cn"),
            ("us-gov-east-1", true, false, "organizations.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", true, true, "organizations.us-gov-west-1.api.aws"),
            ("eusc-de-east-1", true, false, "organizations-fips.eusc-de-east-1.amazonaws.eu"),
            ("us-isof-east-1", false, false, "organizations.us-isof-south-1.csp.hci.ic.gov"),
            ("eu-isoe-west-1", true, false, "organizations-fips.eu-isoe-west-1.cloud.adc-e.uk"),
        ] {
            assert_eq!(host("organizations", organizations_region(region), fips, dual_stack), expected);
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
