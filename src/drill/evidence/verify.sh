#!/bin/sh
# Checks digests, signatures and the chain of this evidence. Needs no network and nothing but sha256sum and ssh-keygen.
set -u
cd "$(dirname "$0")" || exit 1
bad=0
wrong() {
    echo "$1"
    bad=1
}
# The host signed the list of all files: none was taken out, none was added, none was changed.
ssh-keygen -Y verify -f allowed_signers -I host -n lifeboat-evidence -s SHA256SUMS.sig < SHA256SUMS > /dev/null 2>&1 \
    || wrong 'the signature of the list SHA256SUMS does not verify: a file may have been taken out'
sha256sum --check --quiet SHA256SUMS || bad=1
listed=$(cut -c67- SHA256SUMS)
for file in $(find . ! -type d ! -name SHA256SUMS ! -name SHA256SUMS.sig | sed 's|^\./||'); do
    printf '%s\n' "$listed" | grep -qxF -e "$file" || wrong "$file is not in the list SHA256SUMS"
done
# Who may sign, the epochs say, which the root signed; a list of files counts only from a signer of the newest epoch.
number=0
for file in epochs/*.json; do
    n=${file#epochs/}
    n=${n%%-*}
    [ "$n" -gt "$number" ] 2> /dev/null && number=$n
done
while read -r who namespaces kind key; do
    [ "$who" = host ] || continue
    case "$namespaces" in
        *lifeboat-evidence*) grep -qF "\"$kind $key\"" epochs/"$number"-*.json ;;
        *) grep -qF "\"$kind $key\"" epochs/*.json ;;
    esac || wrong "no epoch names the signer $kind $key"
done < allowed_signers
check() {
    for file in "$1"/*.json; do
        [ -e "$file" ] || continue
        ssh-keygen -Y verify -f allowed_signers -I "$2" -n "$3" -s "$file.sig" < "$file" > /dev/null 2>&1 \
            || wrong "the signature of $file does not verify"
    done
}
check epochs root lifeboat-epoch
check drills host lifeboat-drill
check attestations host lifeboat-audit
# Records name the one before them: exactly one of them, the oldest, names one that is not here, and no two name the same.
sums=' '
befores=
for file in drills/*.json; do
    [ -e "$file" ] || continue
    sums="$sums$(sha256sum < "$file" | cut -d' ' -f1) "
done
first=0
for file in drills/*.json; do
    [ -e "$file" ] || continue
    before=$(sed -n 's/^  "previous": "\([0-9a-f]*\)".*/\1/p' "$file")
    case "$sums" in
        *" ${before:-none} "*) ;;
        *) first=$((first + 1)) ;;
    esac
    case " $befores " in
        *" ${before:-none} "*) wrong "$file takes the place of another record" ;;
    esac
    befores="$befores ${before:-none}"
done
[ "$first" -le 1 ] || wrong "$first records do not follow one that is here: one was removed"
[ "$bad" = 0 ] && echo 'everything verifies'
exit "$bad"
