/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole user space of a test guest: PID 1 of an initramfs, static, with nothing beside it.
 *
 * It dirties a working set at a set rate, checks all of it without end, and says every 10 ms on the first serial port how
 * far it is. Whoever listens there sees from outside what a migration did to the guest: silence is downtime, work that is
 * missing was lost, and a page that does not hold what was written there last was corrupted.
 *
 * Pages are rewritten in a fixed order. So the number of pages done tells what each page must hold, and no table is needed
 * that a lossy migration could lose together with the page.
 *
 * Kernel command line: vmmi.working_set=MIB vmmi.rate=MIB_PER_SECOND vmmi.pattern=page|word vmmi.sweep=MIB_PER_SECOND
 * vmmi.power_off_after=SECONDS
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define WORDS (PAGE / sizeof(uint64_t))
#define MAGIC 0x564d4d4947554553ull /* found from outside in QEMU's memory: keep in step with guest.py */
#define LINE_NS 10000000ull
#define TICK_NS 1000000ull
#define ARREARS_NS 4000000ull /* what was missed beyond this is never made up for: a throttled guest works less */
#define BATCH 16              /* pages between two looks at the clock */

struct page {
	uint64_t magic, index, generation;
	uint64_t body[WORDS - 3];
};

static struct page *pages;
static uint64_t page_count, pages_done, pages_verified, pages_corrupted, power_off_at = UINT64_MAX;
static int whole_pages = 1, port;

/* Incompressible, different for each page and content, and cheap to make again for the check. */
static uint64_t seed(uint64_t index, uint64_t generation)
{
	uint64_t x = (index + 1) * 0x9e3779b97f4a7c15ull ^ (generation + 1) * 0xbf58476d1ce4e5b9ull;
	return x ? x : 1;
}

static uint64_t next(uint64_t x)
{
	x ^= x << 13;
	x ^= x >> 7;
	return x ^ x << 17;
}

/* How often a page was rewritten by now; it follows from the fixed order. */
static uint64_t generation_of(uint64_t index)
{
	return pages_done / page_count + (index < pages_done % page_count);
}

static void write_page(uint64_t index, uint64_t generation, int body)
{
	struct page *page = &pages[index];
	uint64_t x = seed(index, whole_pages ? generation : 0);

	page->magic = MAGIC;
	page->index = index;
	page->generation = generation;
	for (size_t i = 0; body && i < sizeof page->body / sizeof *page->body; i++)
		page->body[i] = x = next(x);
}

/* Counts a page that does not hold what it must, and repairs it so that it counts once. */
static void verify_page(uint64_t index)
{
	const struct page *page = &pages[index];
	uint64_t generation = generation_of(index), x = seed(index, whole_pages ? generation : 0);
	uint64_t wrong = page->magic ^ MAGIC | page->index ^ index | page->generation ^ generation;

	for (size_t i = 0; i < sizeof page->body / sizeof *page->body; i++)
		wrong |= page->body[i] ^ (x = next(x));
	if (wrong) {
		pages_corrupted++;
		write_page(index, generation, 1);
	}
}

/* The check comes first, and it is also the work: with one word a page, writing alone would cost next to nothing, and
 * a guest at 1 % of its processor would still dirty gigabytes a second. */
static void rewrite_next_page(void)
{
	uint64_t index = pages_done % page_count, generation = generation_of(index);

	verify_page(index);
	write_page(index, generation + 1, whole_pages);
	pages_done++;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* The sum at the end lets the reader drop a line that lost characters on its way. */
static void print_progress(uint64_t time)
{
	char line[128];
	unsigned sum = 0;
	int length = snprintf(line, sizeof line, "P %llu %llu %llu %llu %llu ", (unsigned long long)(time / 1000000),
			      (unsigned long long)pages_done, (unsigned long long)pages_verified,
			      (unsigned long long)(pages_verified / page_count), (unsigned long long)pages_corrupted);

	for (int i = 0; i < length; i++)
		sum += (unsigned char)line[i];
	length += snprintf(line + length, sizeof line - length, "%02x\n", sum & 0xff);
	if (write(port, line, length) < 0)
		sleep(1);
}

static uint64_t option(const char *line, const char *name, uint64_t otherwise)
{
	const char *found = strstr(line, name);

	return found ? strtoull(found + strlen(name), NULL, 10) : otherwise;
}

static void set_up(uint64_t *rate, uint64_t *sweep)
{
	char line[4096] = "";
	struct termios terminal;
	int file;

	mount("proc", "/proc", "proc", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	port = open("/dev/ttyS0", O_RDWR | O_NOCTTY);
	tcgetattr(port, &terminal);
	cfmakeraw(&terminal);
	cfsetspeed(&terminal, B115200);
	tcsetattr(port, TCSANOW, &terminal);
	file = open("/proc/cmdline", O_RDONLY);
	if (read(file, line, sizeof line - 1) < 0)
		line[0] = 0;
	*rate = option(line, "vmmi.rate=", 0) * (1 << 20) / PAGE;
	*sweep = option(line, "vmmi.sweep=", 32) * (1 << 20) / PAGE;
	if (option(line, "vmmi.power_off_after=", 0))
		power_off_at = now() + option(line, "vmmi.power_off_after=", 0) * 1000000000ull;
	page_count = option(line, "vmmi.working_set=", 16) * (1 << 20) / PAGE;
	whole_pages = strstr(line, "vmmi.pattern=word") == NULL;
	pages = mmap(NULL, page_count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (pages == MAP_FAILED) {
		dprintf(port, "guest: no memory for a working set of %llu pages\n", (unsigned long long)page_count);
		for (;;)
			pause();
	}
	for (uint64_t i = 0; i < page_count; i++)
		write_page(i, 0, 1);
}

int main(void)
{
	uint64_t rate, sweep, last, next_line, write_due = 0, verify_due = 0; /* due: pages times a second in ns */
	const uint64_t second = 1000000000ull;

	set_up(&rate, &sweep);
	last = next_line = now();
	for (;;) {
		uint64_t time = now(), missed = time - last;

		if (time >= power_off_at)
			reboot(RB_POWER_OFF);
		last = time;
		write_due += missed * rate;
		verify_due += missed * sweep;
		if (write_due > ARREARS_NS * rate + second)
			write_due = ARREARS_NS * rate + second;
		if (verify_due > ARREARS_NS * sweep + second)
			verify_due = ARREARS_NS * sweep + second;
		for (int i = 0; i < BATCH && write_due >= second; i++, write_due -= second)
			rewrite_next_page();
		for (int i = 0; i < BATCH && verify_due >= second; i++, verify_due -= second)
			verify_page(pages_verified++ % page_count);
		if (time >= next_line) {
			print_progress(time);
			next_line = time + LINE_NS - (time - next_line) % LINE_NS;
		}
		if (write_due < second && verify_due < second) {
			struct timespec tick = {0, TICK_NS};
			nanosleep(&tick, NULL);
		}
	}
}
