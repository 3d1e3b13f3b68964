/* SPDX-License-Identifier: BSD-3-Clause */
/* bench-client: 'viaduct bench SOCKET...' by itself; -j prints JSON. */
#include <string.h>

#include "bench/client/client.h"

int main(int argc, char *argv[])
{
	bool json = false;
	int kept = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-j") == 0)
			json = true;
		else
			argv[kept++] = argv[i];
	}
	return client_main(kept, argv, json);
}
