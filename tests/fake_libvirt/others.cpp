// SPDX-License-Identifier: Apache-2.0
// Functions that this project does not call and plugins of others may, by means of those that it does.
#pragma GCC visibility push(default)
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#pragma GCC visibility pop

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "call.h"

using fake::scenario;

virDomainPtr virDomainLookupByUUID(virConnectPtr connection, const unsigned char* uuid) {
    std::array<char, VIR_UUID_STRING_BUFLEN> text{};
    char* end = text.data();
    for (int i = 0; i < VIR_UUID_BUFLEN; ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *end++ = '-';
        end += std::snprintf(end, 3, "%02x", uuid[i]);
    }
    return virDomainLookupByUUIDString(connection, text.data());
}

int virDomainGetUUID(virDomainPtr domain, unsigned char* uuid) {
    fake::reset_error();
    const char* text = scenario().guests[domain->guest].uuid.c_str();
    for (int i = 0; i < VIR_UUID_BUFLEN; ++i) {
        if (*text == '-') ++text;
        const std::array<char, 3> byte{text[0], text[1], '\0'};
        uuid[i] = static_cast<unsigned char>(std::strtoul(byte.data(), nullptr, 16));
        text += 2;
    }
    return 0;
}

unsigned int virDomainGetID(virDomainPtr domain) {
    fake::reset_error();
    return static_cast<unsigned int>(domain->guest) + 1;
}

int virDomainGetJobInfo(virDomainPtr domain, virDomainJobInfoPtr info) {
    int type = VIR_DOMAIN_JOB_NONE;
    int count = 0;
    virTypedParameterPtr list = nullptr;
    if (virDomainGetJobStats(domain, &type, &list, &count, 0) < 0) return -1;
    const auto number = [&](const char* name) {
        unsigned long long value = 0;
        virTypedParamsGetULLong(list, count, name, &value);
        return value;
    };
    *info = virDomainJobInfo{};
    info->type = type;
    info->timeElapsed = number(VIR_DOMAIN_JOB_TIME_ELAPSED);
    info->dataTotal = number(VIR_DOMAIN_JOB_DATA_TOTAL);
    info->dataProcessed = number(VIR_DOMAIN_JOB_DATA_PROCESSED);
    info->dataRemaining = number(VIR_DOMAIN_JOB_DATA_REMAINING);
    info->memTotal = number(VIR_DOMAIN_JOB_MEMORY_TOTAL);
    info->memProcessed = number(VIR_DOMAIN_JOB_MEMORY_PROCESSED);
    info->memRemaining = number(VIR_DOMAIN_JOB_MEMORY_REMAINING);
    virTypedParamsFree(list, count);
    return 0;
}

char* virConnectGetURI(virConnectPtr connection) {
    fake::reset_error();
    return ::strdup(connection->host == fake::Host::source ? scenario().source.c_str() : "fake:///destination");
}

// Errors

namespace {

void copy_error(virErrorPtr into) {
    *into = virError{};
    const virError* error = fake::current_error();
    if (error == nullptr) return;
    into->code = error->code;
    into->domain = error->domain;
    into->level = error->level;
    into->message = ::strdup(error->message);
}

}  // namespace

int virCopyLastError(virErrorPtr into) {
    if (into == nullptr) return -1;
    copy_error(into);
    return into->code;
}

/// The caller frees it with virFreeError.
virErrorPtr virSaveLastError() {
    auto* error = static_cast<virErrorPtr>(std::malloc(sizeof(virError)));
    copy_error(error);
    return error;
}

virErrorPtr virConnGetLastError(virConnectPtr) {
    return virGetLastError();
}
