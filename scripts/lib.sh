# Shared by setup, run and test: where the project is, and steps that show what they do and how long it takes.
# Sourced, never run.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
logs=$root/build/log

if [[ -t 1 ]]; then bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'; else bold='' dim='' red='' plain=''; fi

say() { printf '%s\n' "${bold}==>${plain} $*"; }
fail() { printf '%s\n' "${red}error:${plain} $*" >&2; exit 1; }

# step NAME TEXT COMMAND...: runs the command with its output in build/log/NAME.log, says how long it has been at it, and shows the
# end of the log when it fails.
step() {
  local name=$1 text=$2 log=$logs/$1.log start=$SECONDS status=0 pid
  shift 2
  mkdir -p "$logs"
  say "$text"
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.5
    if [[ -t 1 ]]; then
      printf '\r\e[K    %s%ds  %s%s' "$dim" $((SECONDS - start)) "$(tail -n 1 "$log" | tr -d '\r' | cut -c1-90)" "$plain"
    elif (((SECONDS - start) % 15 == 0 && SECONDS > start && SECONDS != ${said:-0})); then
      said=$SECONDS
      printf '    %ds: %s\n' $((SECONDS - start)) "$(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"
    fi
  done
  wait "$pid" || status=$?
  trap - INT TERM
  [[ -t 1 ]] && printf '\r\e[K'
  if ((status != 0)); then
    tail -n 40 "$log" >&2
    fail "$text failed (status $status); the whole log is ${log#"$root"/}"
  fi
  ((SECONDS - start < 2)) || printf '    %sdone in %ds%s\n' "$dim" $((SECONDS - start)) "$plain"
}

# build PRESET [CMAKE-OPTION...]: configures when the folder is new or the options changed, then builds what changed.
build() {
  local preset=$1 dir=$root/build stamp
  shift
  [[ $preset == release ]] || dir=$root/build/$preset
  stamp="$preset $*"
  if [[ ! -f $dir/build.ninja || $(cat "$dir/.configured" 2>/dev/null) != "$stamp" ]]; then
    step "configure-$preset" "Configuring the $preset build" cmake --preset "$preset" -S "$root" "$@"
    printf '%s' "$stamp" >"$dir/.configured"
  fi
  if ! ninja -C "$dir" -n 2>/dev/null | grep -q 'no work to do'; then
    step "build-$preset" "Building ($preset)" ninja -C "$dir"
  fi
}
