/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs each life cycle once for each way in which one of its calls can fail.
 *
 *   faults                             all cases of all cycles
 *   faults CYCLE every N               one of N cases, spread evenly; 1: all
 *   faults CYCLE SITE OCCURRENCE ERROR  that case alone, in this process, for a debugger
 *
 * A clean run records the sites. Then each case is a child of its own, forked from here, where
 * everything has run once and nothing is open: the cycle with the failure, then the same cycle without.
 * Both must leave no block of memory, no descriptor, no mapping and no thread more than there was.
 *
 * Prints JSON, one object a line: a site with how many cases it had, or a finding with its backtrace
 * (run reads it).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <viaduct/log.h>

#include "base/base.h"
#include "cycle.h"
#include "inject.h"

#define PATIENCE_US    20000000 /* for a cycle to go on */
#define CASE_SECONDS   100      /* then it hangs */
#define NR_CHILDREN    16       /* most of the time they wait for each other's retries */
#define MAX_CHECKED_FD 256

extern void __gcov_dump(void) __attribute__((weak));
extern int __lsan_do_recoverable_leak_check(void) __attribute__((weak));
extern void __gcov_dump(void) __attribute__((weak));

static const struct {
	const char *name;
	cycle_fn *run;
} cycles[] = {
	{ "device-split", cycle_device_split },
	{ "device-packed", cycle_device_packed },
	{ "switch", cycle_switch },
	{ "control", cycle_control },
	{ "config", cycle_config },
};

/* ---- for cycles ---- */

enum cycle_end cycle_refused(struct cycle_story *story, const char *reason)
{
	snprintf(story->text, sizeof(story->text), "%s", reason);
	return CYCLE_REFUSED;
}

enum cycle_end cycle_failed(struct cycle_story *story, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(story->text, sizeof(story->text), format, ap);
	va_end(ap);
	return CYCLE_FAILED;
}

bool cycle_wait(struct via_loop *loop, bool (*holds)(void *user), void *user)
{
	const uint64_t deadline = via_clock_us() + PATIENCE_US;

	while (!holds(user)) {
		if (via_clock_us() > deadline)
			return false;
		via_loop_turn(loop, 5);
	}
	return true;
}

/* ---- what a process holds ---- */

struct held {
	int64_t blocks;
	uint32_t fds, mappings, threads;
};

static uint32_t count_entries(const char *path)
{
	DIR *dir = opendir(path);
	uint32_t n = 0;

	while (dir && readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Of files; those of memory alone come and go with malloc(). */
static uint32_t count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[400];
	uint32_t n = 0;

	while (maps && fgets(line, sizeof(line), maps))
		n += strstr(line, " (deleted)") != NULL;
	fclose(maps);
	return n;
}

static struct held look(void)
{
	struct held held = { .blocks = faults_blocks() };

	held.fds = count_entries("/proc/self/fd");
	held.threads = count_entries("/proc/self/task");
	held.mappings = count_mappings();
	return held;
}

static bool is_more(struct cycle_story *story, const struct held *now, const struct held *before,
		    const char *when)
{
	if (now->blocks == before->blocks && now->fds == before->fds &&
	    now->mappings == before->mappings && now->threads == before->threads)
		return false;
	if (now->blocks > before->blocks && __lsan_do_recoverable_leak_check)
		__lsan_do_recoverable_leak_check();
	cycle_failed(
		story, "%s: %+lld blocks of memory, %+d descriptors, %+d mappings, %+d threads",
		when, (long long)(now->blocks - before->blocks), (int)(now->fds - before->fds),
		(int)(now->mappings - before->mappings), (int)(now->threads - before->threads));
	return true;
}

/* ---- one case, in a child ---- */

enum result { UNDECIDED, UNHARMED, REFUSED, NOT_REACHED, WRONG };

struct outcome {
	enum result result;
	char text[600];
};

struct job {
	pid_t pid; /* 0: none */
	uint64_t since_us;
	struct faults_order order;
	struct outcome *outcome; /* shared with the child */
	int output;              /* a file: what the child and its sanitizers say */
};

static char folder[] = "/tmp/viaduct-faults-XXXXXX";
static bool has_tap;
static cycle_fn *cycle;
static uint32_t every = 1, nr_cases;
static struct held before;

static struct cycle_story new_story(void)
{
	struct cycle_story story = { .has_tap = has_tap };

	snprintf(story.path, sizeof(story.path), "%s/%d", folder, getpid());
	return story;
}

/* The root of all backtraces. */
static __attribute__((noinline)) enum cycle_end run_one(struct cycle_story *story)
{
	enum cycle_end end = cycle(story);

	__asm__ volatile("" : "+r"(end)); /* no tail call, which would leave nothing of us */
	return end;
}

/* One clear sentence: it says something, in one line, and nothing in it is missing. */
static bool is_sentence(const char *text)
{
	return strlen(text) >= 10 && !strchr(text, '\n') && !strstr(text, "(null)") &&
	       !strstr(text, "Success") && !strstr(text, ": :") && text[strlen(text) - 1] != ' ';
}

/* Blocks that are left because of a mistake of somebody else's: libyaml 0.2.5 forgets a list of its own
 * when that cannot grow. */
static int64_t theirs(const struct held *now)
{
	const struct faults_table *t = faults_table();
	const struct faults_site *site = &t->site[t->order.site];

	return t->rule[site->rule].name[0] == 'r' && now->blocks == before.blocks + 1 &&
	       strstr(t->module[site->frame[0].module], "libyaml");
}

static enum result judge(struct cycle_story *story)
{
	struct held now;
	enum cycle_end end = run_one(story);
	const bool fired = faults_table()->fired;

	faults_off();
	if (end == CYCLE_FAILED)
		return WRONG;
	if (end == CYCLE_REFUSED && !is_sentence(story->text)) {
		const struct cycle_story said = *story;

		cycle_failed(story, "no sentence for people: '%.400s'", said.text);
		return WRONG;
	}
	now = look();
	now.blocks -= theirs(&now);
	if (is_more(story, &now, &before, "left after the failure"))
		return WRONG;
	return !fired ? NOT_REACHED : end == CYCLE_REFUSED ? REFUSED : UNHARMED;
}

static enum result judge_next(struct cycle_story *story)
{
	struct held now;
	enum cycle_end end = run_one(story);

	if (end != CYCLE_PASSED) {
		const struct cycle_story said = *story;

		cycle_failed(story, "the next, clean cycle does not work: %.400s", said.text);
		return WRONG;
	}
	now = look();
	now.blocks -= theirs(&now);
	return is_more(story, &now, &before, "left after a clean cycle") ? WRONG : UNHARMED;
}

static void run_case(struct faults_order order, struct outcome *outcome)
{
	struct cycle_story story = new_story(), next = story;

	faults_fail(order);
	outcome->result = judge(&story);
	if (outcome->result != WRONG && judge_next(&next) == WRONG) {
		outcome->result = WRONG;
		story = next;
	}
	memcpy(outcome->text, story.text, sizeof(outcome->text));
}

/* ---- findings ---- */

static void print_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else if ((unsigned char)*text < ' ')
			printf("\\u%04x", *text);
		else
			putchar(*text);
	}
}

static void print_backtrace(const struct faults_site *site)
{
	const struct faults_table *t = faults_table();

	for (uint32_t i = 0; i < site->nr_frames; i++)
		printf("%s[\"%s\", %u]", i ? ", " : "", t->module[site->frame[i].module],
		       site->frame[i].offset);
}

static void print_finding(const char *name, const struct job *job, const char *what)
{
	const struct faults_table *t = faults_table();
	const struct faults_site *site = &t->site[job->order.site];
	static char said[16384];
	ssize_t n = pread(job->output, said, sizeof(said) - 1, 0);

	said[n < 0 ? 0 : n] = '\0';
	printf("{\"kind\": \"finding\", \"cycle\": \"%s\", \"call\": \"%s\", \"site\": %u, "
	       "\"occurrence\": %u, \"error\": %d, \"what\": \"",
	       name, t->rule[site->rule].name, job->order.site, job->order.occurrence,
	       job->order.error);
	print_text(what);
	printf("\", \"said\": \"");
	print_text(said);
	printf("\", \"backtrace\": [");
	print_backtrace(site);
	printf("]}\n");
}

/* ---- all cases ---- */

struct tally {
	uint32_t cases[FAULTS_MAX_SITES], failed, unharmed, refused, not_reached;
};

static void collect(const char *name, struct job *job, int how, struct tally *tally)
{
	char what[200];

	job->pid = 0;
	tally->cases[job->order.site]++;
	if (WIFSIGNALED(how)) {
		snprintf(what, sizeof(what), "it %s",
			 WTERMSIG(how) == SIGALRM ? "hangs" : strsignal(WTERMSIG(how)));
		print_finding(name, job, what);
		tally->failed++;
	} else if (job->outcome->result == WRONG || job->outcome->result == UNDECIDED) {
		print_finding(name, job,
			      job->outcome->result == WRONG ? job->outcome->text
							    : "a sanitizer ended it");
		tally->failed++;
	} else {
		tally->unharmed += job->outcome->result == UNHARMED;
		tally->refused += job->outcome->result == REFUSED;
		tally->not_reached += job->outcome->result == NOT_REACHED;
	}
}

static void wait_for_one(const char *name, struct job jobs[NR_CHILDREN], struct tally *tally)
{
	int how;
	pid_t pid = wait(&how);

	for (int i = 0; i < NR_CHILDREN; i++)
		if (jobs[i].pid == pid)
			collect(name, &jobs[i], how, tally);
}

static struct job *free_job(const char *name, struct job jobs[NR_CHILDREN], struct tally *tally)
{
	for (;;) {
		for (int i = 0; i < NR_CHILDREN; i++)
			if (!jobs[i].pid)
				return &jobs[i];
		wait_for_one(name, jobs, tally);
	}
}

/* The table is shared, but each child needs an order of its own: it gets its own copy. */
static void unshare_table(void)
{
	struct faults_table *t = faults_table();
	static struct faults_table copy;

	memcpy(&copy, t, sizeof(copy));
	mmap(t, sizeof(*t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memcpy(t, &copy, sizeof(copy));
}

static void begin_case(struct job *job, struct faults_order order)
{
	job->order = order;
	memset(job->outcome, 0, sizeof(*job->outcome));
	if (ftruncate(job->output, 0) < 0)
		abort();
	fflush(stdout);
	job->pid = fork();
	if (job->pid)
		return;
	alarm(CASE_SECONDS);
	lseek(job->output, 0, SEEK_SET);
	dup2(job->output, STDERR_FILENO);
	unshare_table();
	before = look();
	run_case(order, job->outcome);
	if (__gcov_dump)
		__gcov_dump();
	if (__gcov_dump)
		__gcov_dump();
	_exit(0);
}

/* Of the calls of one site: the first, the second, which finds what the first has left, and the last. */
static uint32_t occurrences(const struct faults_site *site, uint32_t list[3])
{
	uint32_t n = 0;

	list[n++] = 1;
	if (site->count > 1)
		list[n++] = 2;
	if (site->count > 2)
		list[n++] = site->count;
	return n;
}

static void run_site(const char *name, uint32_t index, struct job jobs[], struct tally *tally)
{
	const struct faults_table *t = faults_table();
	const struct faults_rule *rule = &t->rule[t->site[index].rule];
	uint32_t list[3], n = occurrences(&t->site[index], list);

	for (uint32_t i = 0; i < n; i++) {
		for (int e = 0; e < FAULTS_MAX_ERRORS && rule->error[e]; e++) {
			if (nr_cases++ % every != every / 2)
				continue;
			begin_case(free_job(name, jobs, tally),
				   (struct faults_order){ index, list[i], rule->error[e] });
		}
	}
}

static void print_sites(const char *name, const struct tally *tally)
{
	const struct faults_table *t = faults_table();

	for (uint32_t rule = 0; rule < t->nr_rules; rule++) {
		uint32_t sites = 0, cases = 0;

		for (uint32_t i = 0; i < t->nr_sites; i++) {
			sites += t->site[i].rule == rule;
			cases += t->site[i].rule == rule ? tally->cases[i] : 0;
		}
		if (sites)
			printf("{\"kind\": \"call\", \"cycle\": \"%s\", \"call\": \"%s\", "
			       "\"sites\": %u, \"cases\": %u}\n",
			       name, t->rule[rule].name, sites, cases);
	}
	printf("{\"kind\": \"cycle\", \"cycle\": \"%s\", \"unharmed\": %u, \"refused\": %u, "
	       "\"not_reached\": %u, \"failed\": %u}\n",
	       name, tally->unharmed, tally->refused, tally->not_reached, tally->failed);
}

static bool clean_run(const char *name)
{
	struct cycle_story story = new_story();

	if (run_one(&story) == CYCLE_PASSED)
		return true;
	printf("{\"kind\": \"finding\", \"cycle\": \"%s\", \"call\": \"none\", \"what\": \"", name);
	print_text(story.text);
	printf("\", \"backtrace\": []}\n");
	return false;
}

/* Twice before, so that what is made only once is there. */
static bool record(const char *name)
{
	struct cycle_story story = new_story();
	struct held now;
	bool fine = clean_run(name) && clean_run(name);

	before = look();
	faults_table()->nr_sites = 0;
	faults_record();
	fine = fine && clean_run(name);
	faults_off();
	now = look();
	if (fine && is_more(&story, &now, &before, "left after a clean cycle")) {
		fprintf(stderr, "%s: %s\n", name, story.text);
		fine = false;
	}
	return fine;
}

static void open_jobs(struct job jobs[NR_CHILDREN])
{
	struct outcome *outcomes = mmap(NULL, NR_CHILDREN * sizeof(*outcomes),
					PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (outcomes == MAP_FAILED)
		abort();
	for (int i = 0; i < NR_CHILDREN; i++)
		jobs[i] = (struct job){ .outcome = &outcomes[i],
					.output = memfd_create("output", MFD_CLOEXEC) };
}

static int run_cycle(size_t which, struct job jobs[NR_CHILDREN])
{
	static struct tally tally;
	const char *name = cycles[which].name;

	cycle = cycles[which].run;
	memset(&tally, 0, sizeof(tally));
	if (!record(name))
		return 1;
	for (uint32_t i = 0; i < faults_table()->nr_sites; i++)
		run_site(name, i, jobs, &tally);
	for (int i = 0; i < NR_CHILDREN; i++)
		while (jobs[i].pid)
			wait_for_one(name, jobs, &tally);
	print_sites(name, &tally);
	return tally.failed > 0;
}

static void print_log(void *user, enum via_log_level level, const char *line)
{
	(void)user;
	(void)level;
	fprintf(stderr, "%s\n", line);
}

/* One case in this process. */
static int run_alone(size_t which, char *words[])
{
	const struct faults_order order = { (uint32_t)atoi(words[0]), (uint32_t)atoi(words[1]),
					    atoi(words[2]) };
	static struct outcome outcome;

	cycle = cycles[which].run;
	if (!record(cycles[which].name))
		return 1;
	before = look();
	run_case(order, &outcome);
	printf("%s: %s\n", outcome.result == WRONG ? "wrong" : "fine", outcome.text);
	return outcome.result == WRONG;
}

/* Where TAPs and files of state are nobody else's. */
static void go_into_a_private_world(void)
{
	has_tap = unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 &&
		  mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		  mount("run", "/run", "tmpfs", 0, NULL) == 0;
}

/* With the sockets whose removal was made to fail. */
static void remove_folder(void)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	rmdir(folder);
}

int main(int argc, char *argv[])
{
	struct job jobs[NR_CHILDREN];
	int failed = argc == 1 ? 0 : 2;

	if (argc != 1 && (argc != 4 || strcmp(argv[2], "every") != 0) && argc != 5) {
		fprintf(stderr, "faults: see the head of tests/faults/library.c\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(folder))
		return 2;
	go_into_a_private_world();
	via_log_to(print_log, NULL);
	faults_root((void *)run_one);
	open_jobs(jobs);
	if (argc == 4)
		every = (uint32_t)atoi(argv[3]);
	for (size_t i = 0; i < ARRAY_SIZE(cycles); i++)
		if (argc == 1)
			failed |= run_cycle(i, jobs);
		else if (strcmp(argv[1], cycles[i].name) == 0)
			failed = argc == 5 ? run_alone(i, argv + 2) : run_cycle(i, jobs);
	remove_folder();
	return failed;
}
