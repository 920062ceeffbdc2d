#!/bin/sh
# Fetches the npm packages named below and copies the files that the playground serves. Run it to change a version;
# the copies are committed, so that neither a build nor a page needs the network.
set -eu
cd "$(dirname "$0")/playground/vendor"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

take() { # package@version, file in it, name here
    archive=$(cd "$work" && npm pack --silent "$1")
    tar -xzf "$work/$archive" -C "$work" --overwrite
    cp "$work/package/$2" "$3"
    licence=$(cd "$work/package" && ls | grep -i '^licen[cs]e' | head -n 1)
    cp "$work/package/$licence" "$(echo "$1" | sed 's/@[^@]*$//').LICENSE"
    rm -rf "$work/package"
}

take react@18.3.1 umd/react.production.min.js react.js
take react-dom@18.3.1 umd/react-dom.production.min.js react-dom.js
take graphiql@2.4.7 graphiql.min.js graphiql.js
take graphiql@2.4.7 graphiql.min.css graphiql.css
take graphql-ws@5.16.2 umd/graphql-ws.min.js graphql-ws.js

# Their source maps are not served.
sed -i '/^\/\/# sourceMappingURL=/d; s#/\*\# sourceMappingURL=[^*]*\*/##' ./*.js ./*.css
