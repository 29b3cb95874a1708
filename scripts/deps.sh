#!/usr/bin/env bash
# Installs what the tests and the demo need besides Go, gcc and git: OpenSSH's sshd, its client tools and its stand-in for
# a FIDO token, PostgreSQL's server, Node.js with npm for what scripts/npm.sh installs, mandoc, which reads the man pages,
# Ansible, and Chromium with the fonts of the screenshots.
#
# As root, or with a sudo that asks for no password, it uses apt-get. Otherwise it names the missing packages and the
# command that installs them, and exits 1. When nothing is missing it changes nothing and takes a few milliseconds.
# The distribution's own sshd service is neither started nor enabled, and no cluster of PostgreSQL is made: the tests make
# and start their own, on loopback.
set -euo pipefail

readonly want_go=1.26
readonly fido=/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so
readonly policy=/usr/sbin/policy-rc.d
readonly cluster_policy=/etc/postgresql-common/createcluster.d/sallyport.conf
readonly marker='# put here by sallyport scripts/deps.sh, which removes it when it ends'

say() { printf 'deps: %s\n' "$*" >&2; }
die() {
	say "$@"
	exit 1
}

# sshd and friends live outside the PATH of ordinary users.
have() { [[ -x /usr/sbin/$1 || -x /usr/bin/$1 ]] || command -v "$1" >/dev/null 2>&1; }

# check_toolchain names everything that is wrong with the compilers at once; apt's Go is too old to be offered here.
check_toolchain() {
	local ok=1 version major minor

	if ! command -v go >/dev/null 2>&1; then
		say "go is not in PATH; install Go $want_go or newer from https://go.dev/dl/"
		ok=0
	else
		version=$(go env GOVERSION)
		version=${version#go}
		IFS=. read -r major minor _ <<<"$version"
		minor=${minor%%[!0-9]*}
		if [[ ! $major =~ ^[0-9]+$ || ! $minor =~ ^[0-9]+$ ]]; then
			say "go calls itself '$version', which is not a release; go $want_go or newer is needed"
			ok=0
		elif ((major < ${want_go%.*} || (major == ${want_go%.*} && minor < ${want_go#*.}))); then
			say "go is $version, but $want_go or newer is needed; install it from https://go.dev/dl/"
			ok=0
		fi
	fi
	if ! command -v gcc >/dev/null 2>&1; then
		say "gcc is not in PATH; SQLite is compiled with it: install the package gcc"
		ok=0
	fi
	if ! command -v git >/dev/null 2>&1; then
		say "git is not in PATH; install the package git"
		ok=0
	fi
	((ok)) || exit 1
}

# have_postgres: Debian keeps the releases side by side, out of the PATH; 15 is the oldest that sallyd works with.
have_postgres() {
	local program version
	for program in /usr/lib/postgresql/*/bin/postgres; do
		version=${program#/usr/lib/postgresql/}
		version=${version%%/*}
		if [[ -x $program && $version =~ ^[0-9]+$ ]] && ((version >= 15)); then return 0; fi
	done
	return 1
}

# find_missing fills the array `missing` with the apt packages whose programs are not here.
find_missing() {
	missing=()
	if ! have python3; then missing+=(python3); fi # checks a published vector without our code
	if ! have sshd; then missing+=(openssh-server); fi
	if [[ ! -x /lib/systemd/systemd ]] || ! have systemctl; then missing+=(systemd); fi # runs the agent's unit, in namespaces of its own
	if ! have_postgres; then missing+=(postgresql); fi
	if ! have node; then missing+=(nodejs); fi # for the second identity provider, as npm is
	if ! have npm; then missing+=(npm); fi
	if [[ ! -e $fido ]]; then missing+=(openssh-tests); fi # a stand-in for a FIDO token, and OpenSSH's own scripts
	if ! have ansible-playbook; then missing+=(ansible-core); fi # plays the role of deploy/ansible
	if [[ ! -e /usr/lib/python3/dist-packages/apt/__init__.py ]]; then missing+=(python3-apt); fi # by which it installs packages
	if ! have mandoc; then missing+=(mandoc); fi # checks the man pages
	if ! have chromium; then missing+=(chromium); fi # looks at the pages
	if [[ ! -d /usr/share/fonts/opentype/inter ]]; then missing+=(fonts-inter); fi
	if [[ ! -d /usr/share/fonts/opentype/ebgaramond ]]; then missing+=(fonts-ebgaramond); fi
	if [[ ! -d /usr/share/fonts/truetype/liberation ]]; then missing+=(fonts-liberation); fi
	if ! have ssh || ! have ssh-agent || ! have ssh-add || ! have ssh-keygen; then missing+=(openssh-client); fi
	# gcc without its recommended packages has no C library to compile and to link against; sallyd is linked statically.
	if ! gcc -E -x c - >/dev/null 2>&1 <<<'#include <stdlib.h>' || [[ $(gcc -print-file-name=libc.a) != /* ]]; then
		missing+=(libc6-dev)
	fi
}

# place_guard forbids maintainer scripts to start services, as Debian policy 9.3.3 provides. A policy that is already
# there belongs to the machine's owner and stays as it is.
place_guard() {
	local line
	if [[ -e $policy ]]; then
		line=$(sed -n 2p "$policy" 2>/dev/null) || line=
		[[ $line == "$marker" ]] || return 0
		say "replacing the policy-rc.d that an interrupted run left behind"
		rm -f "$policy"
	fi
	# noclobber: only who made the file removes it.
	if (set -o noclobber && printf '#!/bin/sh\n%s\nexit 101\n' "$marker" >"$policy") 2>/dev/null; then
		guarded=1
		chmod 0755 "$policy"
	elif [[ ! -e $policy ]]; then
		die "$policy cannot be written, so nothing would keep the new sshd service from starting; nothing was installed"
	fi
}

remove_guard() {
	if ((guarded)); then
		guarded=0
		rm -f "$policy"
	fi
	if ((no_cluster)); then
		no_cluster=0
		rm -f "$cluster_policy"
	fi
}

# place_cluster_policy keeps a new PostgreSQL from making a cluster of its own, which the next boot would start. What the
# machine's owner has said about clusters stays as it is.
place_cluster_policy() {
	mkdir -p "${cluster_policy%/*}"
	if [[ -e $cluster_policy ]]; then
		[[ $(head -n 1 "$cluster_policy") == "$marker" ]] || return 0
		say "replacing the $cluster_policy that an interrupted run left behind"
	fi
	no_cluster=1
	printf '%s\ncreate_main_cluster = false\n' "$marker" >"$cluster_policy"
}

# install PACKAGE... runs as root.
install() {
	local had_sshd=0
	if have sshd; then had_sshd=1; fi

	# One run at a time, and after whatever apt-get a killed run has left at work: the lock goes with the last of them.
	exec 9</usr/sbin
	flock 9

	guarded=0 no_cluster=0
	trap remove_guard EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	place_guard
	if [[ " $* " == *' postgresql '* ]]; then place_cluster_policy; fi

	export DEBIAN_FRONTEND=noninteractive
	local apt=(apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
	"${apt[@]}" update </dev/null ||
		die "apt-get update ended with an error (see above); mend the package sources, then run this again"
	"${apt[@]}" -y --no-install-recommends install "$@" </dev/null ||
		die "apt-get could not install: $* (see above)"

	# Who asked for tests did not ask for a listening sshd after the next boot.
	if ((!had_sshd)) && command -v systemctl >/dev/null 2>&1; then
		systemctl --quiet disable ssh.service ssh.socket >/dev/null 2>&1 || true
	fi
	remove_guard
}

# prepare_sshd: an sshd started by root needs its privilege separation directory, which only the service would make.
prepare_sshd() {
	if ((EUID == 0)) && [[ ! -d /run/sshd ]]; then
		mkdir -m 0755 /run/sshd
	fi
}

main() {
	local self command
	if [[ ${1-} == --install ]]; then # the second half, run through sudo
		shift
		install "$@"
		return
	fi
	(($# == 0)) || die "takes no arguments"

	check_toolchain
	find_missing
	if ((${#missing[@]} > 0)); then
		command="apt-get update && apt-get install --no-install-recommends ${missing[*]}"
		if ! command -v apt-get >/dev/null 2>&1; then
			die "missing, by the names of Debian's packages: ${missing[*]}; this machine has no apt-get, install them with its own package manager"
		fi
		if ((EUID == 0)); then
			say "installing ${missing[*]}"
			# A process of its own, so that its traps end with it.
			bash "${BASH_SOURCE[0]}" --install "${missing[@]}"
		elif command -v sudo >/dev/null 2>&1 && sudo -n true >/dev/null 2>&1; then
			say "installing ${missing[*]} through sudo"
			self=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)/$(basename -- "${BASH_SOURCE[0]}")
			sudo -n bash "$self" --install "${missing[@]}"
		else
			die "missing packages: ${missing[*]}; run as root: $command"
		fi
		find_missing
		((${#missing[@]} == 0)) || die "still missing after apt-get: ${missing[*]}"
	fi
	prepare_sshd
}

main "$@"
