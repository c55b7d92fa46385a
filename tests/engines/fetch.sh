#!/bin/sh
# fetch.sh dynamodb-local|dynoxide|typescript DIRECTORY
#
# Fetches an engine of the tests into DIRECTORY and marks it as complete with a file `.fetched`.
# Where that cannot be done it says why and succeeds, so that the tests run on the other engines;
# with CI=true it fails.
set -u
engine=$1
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$2"
cd "$2" || exit 1

needs() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null 2>&1 || { why="$tool is not installed"; return 1; }
    done
}

fetch_dynamodb_local() {
    needs java mvn || return
    mvn --quiet --batch-mode --file "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$PWD"
}

# The lock file covers linux-x64; other platforms get their package of the same version.
fetch_dynoxide() {
    needs node npm || return
    cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" . || return
    platform=$(node -p 'process.platform + "-" + process.arch')
    version=$(node -p 'require("./package.json").optionalDependencies["@dynoxide/linux-x64"]')
    if [ "$platform" = linux-x64 ]; then
        npm ci --silent --ignore-scripts
    else
        npm install --silent --ignore-scripts --no-save --no-package-lock "@dynoxide/$platform@$version"
    fi
    test -x "node_modules/@dynoxide/$platform/dynoxide"
}

# The web application's side: its packages from the lock file, compiled with tsc --strict.
fetch_typescript() {
    needs node npm || return
    rm -rf build .fetched && cp -R "$here/../typescript/." . || return
    npm ci --silent --ignore-scripts && npx --no-install tsc --project .
}

why="fetching it failed"
case $engine in
    dynamodb-local) fetch_dynamodb_local ;;
    dynoxide) fetch_dynoxide ;;
    typescript) fetch_typescript ;;
    *) echo "fetch.sh: no engine is called $engine" >&2; exit 2 ;;
esac && touch .fetched && exit

if [ "${CI:-}" = true ]; then
    echo "Engine $engine is missing: $why. With CI=true that is an error." >&2
    exit 1
fi
echo "Engine $engine is missing: $why. Tests that need it will be skipped." >&2
