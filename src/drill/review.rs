//! Reviews of earlier records, from the drill file into the record of the next drill. Pure.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use super::{
    Past, Request, ReviewSection,
    record::{Record, Review},
    verdict,
};

/// Takes the reviews of the drill file into the draft; one that cannot be one becomes a deviation.
pub(super) fn take(request: &Request<'_>, draft: &mut Record) {
    for section in &request.file.reviews {
        match judge(section, request.name, request.past, draft.started) {
            Ok(review) => draft.reviews.push(review),
            Err(why) => {
                verdict::deviate(request, draft, &format!("the review of {} does not count", section.record), &why);
            }
        }
    }
}

/// A review of a record that verifies, by somebody who did not hold that drill, on a day after it.
fn judge(section: &ReviewSection, plan: &str, past: &[Past], now: Timestamp) -> Result<Review, String> {
    let found = past.iter().find(|past| past.stored.name == section.record);
    let facts = found.and_then(Past::verified).filter(|facts| facts.plan() == plan);
    let Some((found, facts)) = found.zip(facts) else {
        return Err("this plan has no such record, or the record does not verify".into());
    };
    let day = |time: Timestamp| -> Date { TimeZone::UTC.to_datetime(time).date() };
    if facts.started().is_some_and(|held| section.date < day(held)) {
        return Err(format!("{} is before the drill", section.date));
    }
    // A day that has begun somewhere is not in the future.
    if day(now).tomorrow().is_ok_and(|latest| section.date > latest) {
        return Err(format!("{} is in the future", section.date));
    }
    let operator = found.record().map(|record| record.approval.operator);
    if operator.is_some_and(|operator| verdict::is_same_person(&operator, &section.reviewer)) {
        return Err(format!("{} ran the drill, so they cannot review it", section.reviewer));
    }
    let ReviewSection { record, reviewer, date, note } = section.clone();
    Ok(Review { record, reviewer, date, note })
}
