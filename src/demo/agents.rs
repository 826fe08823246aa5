//! The demo's daemons, their agents, and the commands that do the work.
//!
//! The commands are what anybody's would be: they get their prompt in the environment, print what they find, tell how
//! far they are, and succeed or fail by their exit status. A pause here and there lets the eye follow.

/// An agent of the demo's, and what runs its tasks.
#[derive(Debug)]
pub(super) struct Agent {
    /// Its name, and its runtime's provider.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) description: &'static str,
    /// How many tasks it works on at once.
    pub(super) max_concurrent_tasks: i32,
    /// What the shell runs for each task, in the directory of the demo's.
    pub(super) command: &'static str,
    /// What it can be asked.
    pub(super) prompts: &'static [&'static str],
}

/// The daemons by their ids, and the agents on each.
pub(super) const DAEMONS: [(&str, &[Agent]); 2] = [
    ("workshop", &[COUNTER, SEARCHER]),
    ("laptop", &[READER, HASHER]),
];

/// Every file of the directory, without those that tools make.
macro_rules! files {
    () => {
        "find . -type f -not -path '*/.git/*' -not -path '*/target/*' -not -path '*/node_modules/*' | sort | head -n 2000"
    };
}

const COUNTER: Agent = Agent {
    name: "counter",
    description: "Counts the lines of the files with an ending.",
    max_concurrent_tasks: 2,
    command: concat!(
        "echo '::callboard progress 1/2 finding the files'\n",
        "found=$(",
        files!(),
        " | grep -E \"\\.$CALLBOARD_PROMPT\\$\")\n",
        "test -n \"$found\" || { echo \"no file ends in .$CALLBOARD_PROMPT\" >&2; exit 1; }\n",
        "sleep 1\n",
        "echo '::callboard progress 2/2 counting their lines'\n",
        "files=$(echo \"$found\" | wc -l)\n",
        "lines=$(echo \"$found\" | tr '\\n' '\\0' | xargs -0 cat | wc -l)\n",
        "sleep 1\n",
        "echo \"$files files, $lines lines\"\n",
        "echo \"::callboard result {\\\"files\\\": $files, \\\"lines\\\": $lines}\"\n",
    ),
    prompts: &["rs", "sql", "toml", "md", "cobol"],
};

const SEARCHER: Agent = Agent {
    name: "searcher",
    description: "Finds the lines that a word is on.",
    max_concurrent_tasks: 1,
    command: concat!(
        files!(),
        " | tr '\\n' '\\0' | xargs -0 grep -Inw -m 2 -e \"$CALLBOARD_PROMPT\" | head -n 40 | cut -c 1-200 > /tmp/callboard-demo.$$\n",
        "hits=$(wc -l < /tmp/callboard-demo.$$); cat /tmp/callboard-demo.$$; rm /tmp/callboard-demo.$$\n",
        "sleep 1\n",
        "test \"$hits\" -gt 0 || { echo \"nobody says $CALLBOARD_PROMPT\" >&2; exit 1; }\n",
        "echo \"::callboard result {\\\"lines\\\": $hits}\"\n",
    ),
    prompts: &["lease", "gap", "fence", "heartbeat", "deliberately", "the"],
};

const READER: Agent = Agent {
    name: "reader",
    description: "Writes a summary of what the documents are about.",
    max_concurrent_tasks: 1,
    command: concat!(
        "echo '::callboard session summary-1'\n",
        "n=0; docs=$(",
        files!(),
        " | grep -E '\\.(md|graphql|txt)$' | head -n 8)\n",
        "total=$(echo \"$docs\" | wc -l)\n",
        "for doc in $docs; do\n",
        "  n=$((n + 1)); echo \"::callboard progress $n/$total reading $doc\"\n",
        "  echo \"$doc: $(wc -w < \"$doc\") words\"; grep -E '^#' \"$doc\" | head -n 3\n",
        "  sleep 0.5\n",
        "done\n",
        "echo \"::callboard usage {\\\"provider\\\": \\\"demo\\\", \\\"model\\\": \\\"grep\\\", \\\"inputTokens\\\": $(cat $docs | wc -w), \\\"outputTokens\\\": $n, \\\"cacheReadTokens\\\": 0, \\\"cacheWriteTokens\\\": 0}\"\n",
        "echo \"::callboard result {\\\"documents\\\": $n}\"\n",
    ),
    prompts: &["Summarise the documents"],
};

const HASHER: Agent = Agent {
    name: "hasher",
    description: "Reads every file to the last byte; takes so long that it is usually cancelled.",
    max_concurrent_tasks: 2,
    command: concat!(
        "n=0; all=$(",
        files!(),
        "); total=$(echo \"$all\" | wc -l)\n",
        "for file in $all; do\n",
        "  n=$((n + 1)); cksum \"$file\"\n",
        "  test $((n % 10)) -eq 0 && echo \"::callboard progress $n/$total $file\" && sleep 1\n",
        "done\n",
        "echo \"::callboard result {\\\"files\\\": $n}\"\n",
    ),
    prompts: &["Take the checksum of everything"],
};
