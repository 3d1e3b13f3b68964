
/* ---- tests/mutation/mutant.h ---- */

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

unsigned int via_mutant;
unsigned char *via_mutant_seen;

__attribute__((constructor)) static void via_mutant_begin(void)
{
	const char *number = getenv("VIA_MUTANT"), *seen = getenv("VIA_MUTANT_SEEN");

	if (number) {
		via_mutant = (unsigned int)strtoul(number, NULL, 10);
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* it may run for ever without its check */
	}
	if (seen) {
		int fd = open(seen, O_RDWR | O_CLOEXEC);
		void *p = mmap(NULL, VIA_NR_MUTANTS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		close(fd);
		via_mutant_seen = p == MAP_FAILED ? NULL : p;
	}
}
